//! What pushes the output up and down from its base value, in one bar.

use super::Figure;
use super::axis::Axis;
use super::bidi::{self, Order, Part};
use super::canvas::{Anchor, Canvas, MARGIN, Stretch, cut, wide};
use super::features::{Example, Single, reaches, target_name};
use super::heatmap::Heatmap;
use super::html::{self, escape, number, signed};
use super::lettering::{Boxed, Lettering};
use super::palette::Palette;
use super::theme::{Colours, colours};
use crate::engine::Attributions;
use crate::error::{Result, bail};
use crate::script::free_standing;
use crate::text::{TextRecord, TokenAttributions};
use crate::visible::visible;

const WIDTH: f64 = 860.;
/// Pushes that take less than this share of the bar are drawn as one.
const SMALLEST: f64 = 0.004;

/// One bar between the base value and the output: what pushes up ends at the output from the left, what pushes down from
/// the right, the largest next to it. Made with [`Attributions::force`] and [`TokenAttributions::force`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Force {
    title: String,
    pushes: Vec<Push>,
    base: f64,
    output: f64,
    palette: Palette,
    /// The text that the pushes are the words of.
    text: Option<TextRecord>,
    remarks: Vec<String>,
}

/// A word or a feature with its attribution.
#[derive(Clone, Debug)]
struct Push {
    label: String,
    /// A shorter one.
    name: String,
    amount: f64,
    special: bool,
    joined: bool,
}

/// A piece of the bar: its ends, and the push that it stands for; `None` for small ones together.
struct Piece<'a> {
    from: f64,
    to: f64,
    push: Option<&'a Push>,
    amount: f64,
}

impl Attributions {
    /// What pushes the output of one example up and down: `force(0)`, or `force((&test, 0))` with the features' values.
    /// The base value is as in [`Attributions::waterfall`].
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let (_, test) = Titanic::offline()?.split(Split::Tutorial)?;
    /// let importance = IntegratedGradients::new(Titanic::pretrained()?).attribute(&test, 1)?;
    /// importance.force((&test, 0))?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn force(&self, example: impl Into<Example>) -> Result<Force> {
        let Single { position, features, base, output } = Single::of(self, &example.into())?;
        let mut pushes: Vec<Push> = features
            .iter()
            .map(|feature| Push {
                label: feature.label(),
                name: feature.name(),
                amount: feature.attribution,
                special: false,
                joined: false,
            })
            .collect();
        pushes.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
        let title = format!("What pushes the output of example {position}{}", target_name(self, position));
        Force {
            title,
            pushes,
            base,
            output,
            palette: Palette::default(),
            text: None,
            remarks: self.remarks_of(position),
        }
        .checked()
    }
}

impl TokenAttributions {
    /// What each word of a text pushes the output up or down by, from the base value, which is the output less the sum
    /// of the attributions. Numbers that were divided by their norm are shown as they were before.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let explain = Explainer::from_pretrained("data/sentiment-vi")?;
    /// let words = explain.visualize("Sản phẩm này rất tốt, nhưng giao hàng quá chậm")?;
    /// assert!(words.force()?.text().contains("base value"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn force(&self) -> Result<Force> {
        let [record] = self.records() else {
            bail!(
                Input,
                "a bar of forces shows one text at one layer, and this is {}: take one of them, for example only(0)",
                self.records().len()
            )
        };
        if record.convergence_delta().is_none() {
            bail!(
                Input,
                "the numbers of {} do not add up from a base value to the output: draw a heatmap, or take a method whose \
                 numbers do, such as LayerIntegratedGradients",
                self.method()
            )
        }
        let Some(output) = record.output() else {
            bail!(
                Input,
                "the numbers of {} are not of the model's output: there is no base value to start from",
                self.method()
            )
        };
        let record = record.unnormalized();
        let units = record.units().iter();
        let pushes: Vec<Push> = units
            .map(|unit| Push {
                label: unit.text.clone(),
                name: unit.text.clone(),
                amount: unit.value,
                special: unit.special,
                joined: unit.joined,
            })
            .collect();
        if let Some(push) = pushes.iter().find(|push| !push.amount.is_finite()) {
            bail!(NotFinite, "the attribution of \"{}\" is {}: it cannot be drawn", push.label, push.amount)
        }
        let label = record.attributed().map(|label| format!(" for «{label}»")).unwrap_or_default();
        let base = output - record.score();
        let remarks = TokenAttributions::from(record.clone()).remarks();
        let title = format!("What pushes the output{label}");
        Force { title, pushes, base, output, palette: Palette::default(), text: Some(record), remarks }.checked()
    }
}

impl Force {
    /// The same picture under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same with other colours.
    pub fn palette(&self, palette: Palette) -> Self {
        Self { palette, ..self.clone() }
    }

    fn checked(self) -> Result<Self> {
        let (up, down) = self.sums();
        let ends = [self.base, self.output - up, self.output + down, up + down];
        reaches(&format!("\"{}\"", self.title), ends.into_iter())?;
        Ok(self)
    }

    /// How far all pushes go up together, and how far down.
    fn sums(&self) -> (f64, f64) {
        let sum = |sign: f64| self.pushes.iter().map(|push| (sign * push.amount).max(0.)).sum();
        (sum(1.), sum(-1.))
    }

    /// The pieces of the bar from left to right.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let (up, down) = self.sums();
        let side = |sign: f64| {
            let mut pushes: Vec<&Push> = self.pushes.iter().filter(|push| sign * push.amount > 0.).collect();
            pushes.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
            let large = pushes.partition_point(|push| push.amount.abs() >= SMALLEST * (up + down));
            let small: f64 = pushes[large..].iter().map(|push| push.amount).sum();
            let alone = pushes[..large].iter().map(|push| (Some(*push), push.amount));
            let amounts = alone.chain((small != 0.).then_some((None, small)));
            let mut at = self.output;
            let pieces = amounts.map(|(push, amount)| {
                let from = at;
                at -= amount;
                Piece { from: from.min(at), to: from.max(at), push, amount }
            });
            pieces.collect::<Vec<_>>()
        };
        side(1.).into_iter().rev().chain(side(-1.)).collect()
    }

    fn caption(&self) -> Vec<String> {
        let mut caption = vec![
            "What pushes up ends at the output from the left, what pushes down from the right. The base value is the \
             output less the sum of the attributions."
                .to_string(),
        ];
        if self.pushes.iter().all(|push| push.amount == 0.) {
            caption.push("All attributions are 0: nothing pushes.".to_string());
        }
        caption.extend(self.remarks.iter().cloned());
        caption
    }

    /// As much of a push's name as fits, nothing if that is not enough to know it by.
    fn fitted(&self, push: &Push, room: f64) -> String {
        const ENOUGH: f64 = 40.;
        let names = [&push.label, &push.name].map(|name| drawn_alone(name));
        match names.iter().find(|name| wide(name) <= room) {
            Some(name) => name.clone(),
            None if room >= ENOUGH => {
                let all: Vec<String> = self.pushes.iter().map(|push| drawn_alone(&push.name)).collect();
                cut(&names[1], &all, room)
            }
            None => String::new(),
        }
    }

    /// The axis of the bar, with room at both ends.
    fn axis(&self) -> Axis {
        let (up, down) = self.sums();
        Axis::new([self.output - up, self.output + down, self.base].into_iter(), false, 0.03)
    }

    fn tooltip(piece: &Piece) -> String {
        match piece.push {
            Some(push) => bidi::named(&free_standing(&push.label), &signed(piece.amount)),
            None => format!("small ones together: {}", signed(piece.amount)),
        }
    }

    fn draw(&self) -> String {
        const TOP: f64 = 76.;
        const BOTTOM: f64 = TOP + 34.;
        const POINT: f64 = 6.;
        let across = Stretch { axis: self.axis(), from: MARGIN, to: WIDTH - MARGIN };
        let &Colours { ink, faint, .. } = colours();
        let mut canvas = Canvas::new(WIDTH);
        canvas.title(&self.title);
        canvas.axis_below(&across, &across.ticks_below(), (BOTTOM + 6., BOTTOM + 6.));
        let [base, output] = [self.base, self.output].map(|value| across.at(value));
        for piece in self.pieces() {
            let (from, to) = (across.at(piece.from), across.at(piece.to));
            let point = POINT.min(0.5 * (to - from));
            let (middle, sign) = (0.5 * (TOP + BOTTOM), if piece.amount < 0. { -1. } else { 1. });
            let (tail, head) = if piece.amount < 0. { (to, from) } else { (from, to) };
            let gap = if to - from > 3. { sign } else { 0. };
            let (tail, shoulder) = (tail + gap, head - sign * point);
            let corners = [
                (tail, TOP),
                (shoulder, TOP),
                (head, middle),
                (shoulder, BOTTOM),
                (tail, BOTTOM),
                (tail + sign * point, middle),
            ];
            canvas.polygon(&corners, self.palette.ground(sign, 1.), &Self::tooltip(&piece));
            let Some(push) = piece.push else { continue };
            let room = to - from - 2. * POINT - 2.;
            let place = 0.5 * (from + to) + 0.5 * sign * point;
            let (name, amount) = (self.fitted(push, room), signed(push.amount));
            if wide(&amount) <= room && !name.is_empty() {
                canvas.text((place, middle - 3.), Anchor::Middle, ink, &name);
                canvas.text((place, middle + 12.), Anchor::Middle, ink, &amount);
            } else if !name.is_empty() {
                canvas.text((place, middle + 4.), Anchor::Middle, ink, &name);
            }
        }
        canvas.line((output, TOP - 20.), (output, BOTTOM + 6.), ink, false);
        // Not through the bar and its letters.
        for (from, to) in [(TOP - 6., TOP), (BOTTOM, BOTTOM + 6.)] {
            canvas.line((base, from), (base, to), ink, false);
        }
        canvas.text_within((output, TOP - 26.), ink, &format!("output {}", number(self.output)));
        let text = format!("base value {}", number(self.base));
        // On the side that the output is not on, if there is room.
        let place = if base > output { (base - 4., Anchor::Start) } else { (base + 4., Anchor::End) };
        let (end, fits) = match place.1 {
            Anchor::Start => (place.0, place.0 + wide(&text) <= WIDTH - MARGIN),
            _ => (place.0, place.0 - wide(&text) >= MARGIN),
        };
        let anchor = match (place.1, fits) {
            (anchor, true) => anchor,
            (Anchor::Start, false) => Anchor::End,
            (_, false) => Anchor::Start,
        };
        canvas.text_on_ground((end, TOP - 9.), anchor, faint, &text);
        let (words, height) = self.words();
        canvas.push(&format!("<g transform=\"translate(0 {:.1})\" font-size=\"14\">{words}</g>", BOTTOM + 34.));
        canvas.svg(BOTTOM + 34. + height, &self.text())
    }

    /// Every word or feature below the bar, coloured by its push, with the caption.
    fn words(&self) -> (String, f64) {
        let largest = self.pushes.iter().map(|push| push.amount.abs()).fold(0., f64::max);
        let mut page = Lettering::new();
        let labels: Vec<String> = self.pushes.iter().map(|push| self.listed(push)).collect();
        let boxes: Vec<Boxed> = self
            .pushes
            .iter()
            .zip(&labels)
            .map(|(push, word)| Boxed {
                word,
                title: signed(push.amount),
                colour: self.palette.ink(push.special, push.amount, largest),
                ground: self.palette.ground(push.amount, largest),
                dotted: push.amount < 0.,
                special: push.special,
                joined: push.joined,
            })
            .collect();
        page.boxes(&boxes);
        page.line_break(1.6);
        for remark in self.caption() {
            page.text(&remark, colours().faint, false);
            page.line_break(1.);
        }
        page.into_marks()
    }

    /// A push below the bar: a word as it stands in the text, a feature with its number.
    fn listed(&self, push: &Push) -> String {
        match self.text {
            Some(_) => push.label.clone(),
            None => bidi::named(&push.label, &signed(push.amount)),
        }
    }

    /// The bar as HTML, whose letters can be selected and read aloud.
    fn bar(&self) -> String {
        const WIDE: f64 = 760.;
        let Colours { ground, ink, faint, .. } = colours();
        let axis = self.axis();
        let percent = |value: f64| 100. * axis.share(value);
        let piece = |piece: &Piece| {
            let sign = if piece.amount < 0. { -1. } else { 1. };
            let side = if piece.amount < 0. { "left" } else { "right" };
            let (left, width) = (percent(piece.from), percent(piece.to) - percent(piece.from));
            let name = piece.push.map(|push| self.fitted(push, 0.01 * width * WIDE - 6.)).unwrap_or_default();
            format!(
                "<div title=\"{}\"{} style=\"position:absolute;left:{left:.2}%;width:{width:.2}%;top:0;height:34px;\
                 box-sizing:border-box;background:{};color:{ink};border-{side}:2px solid {ground};line-height:34px;\
                 text-align:center;overflow:hidden;white-space:nowrap;font-size:12px\">{}</div>",
                escape(&Self::tooltip(piece)),
                bidi::direction(&name),
                self.palette.ground(sign, 1.),
                escape(&name)
            )
        };
        let pieces: String = self.pieces().iter().map(piece).collect();
        let mark = |value: f64, to_the_left: bool, [top, bottom]: [u32; 2], name: &str, line: &str| {
            let (at, room) = (percent(value), 18.);
            let to_the_left = if to_the_left { at > room } else { at > 100. - room };
            let (side, place) = if to_the_left { ("right", 100. - at) } else { ("left", at) };
            format!(
                "<div style=\"position:absolute;{side}:{place:.2}%;top:{top}px;height:{}px;border-{side}:2px {line};\
                 white-space:nowrap;color:{ink}\"><span style=\"padding:0 5px;background:{ground}\">{name} {}</span></div>",
                bottom - top,
                number(value)
            )
        };
        let before = self.base <= self.output;
        format!(
            "<div dir=\"ltr\" style=\"position:relative;width:{WIDE}px;max-width:100%;height:80px;margin:4px 0\"><div \
             style=\"position:absolute;left:0;right:0;top:40px;height:34px\">{pieces}</div>{}{}</div>",
            mark(self.output, !before, [0, 74], "output", &format!("solid {ink}")),
            mark(self.base, before, [20, 40], "base value", &format!("dashed {faint}")),
        )
    }
}

/// A name, as it is drawn alone.
fn drawn_alone(name: &str) -> String {
    let word = free_standing(name);
    Order::of([Part { letters: Some(&word), joined: false }]).alone(0, &word).into_owned()
}

impl Figure for Force {
    fn html(&self) -> String {
        let Some(record) = &self.text else { return html::image(&self.draw(), &self.text()) };
        let largest = self.pushes.iter().map(|push| push.amount.abs()).fold(0., f64::max);
        format!(
            "<div style=\"font-weight:600;padding:2px 10px 6px\">{}</div><div style=\"padding:2px 10px\">{}{}</div>{}",
            escape(&self.title),
            self.bar(),
            Heatmap::default().palette(self.palette).words(record, largest),
            html::remarks(&self.caption())
        )
    }

    fn text(&self) -> String {
        let push = |push: &Push| bidi::named(&push.label, &signed(push.amount));
        let mut lines =
            vec![self.title.clone(), format!("base value {}, output {}", number(self.base), number(self.output))];
        lines.extend(self.pushes.iter().map(push));
        lines.extend(self.caption());
        visible(&lines.join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}
