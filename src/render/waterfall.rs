//! The way from the base value to the output of one example, feature by feature.

use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, Canvas, MARGIN, Stretch, cut, wide};
use super::captioned::captioned;
use super::features::{Example, Single, reaches, target_name};
use super::html::{self, number, signed};
use super::palette::plain;
use super::theme::{Colours, colours};
use crate::engine::Attributions;
use crate::error::{Result, bail};
use crate::visible::visible;

/// How many bars are drawn, unless the caller chooses.
const MOST: usize = 10;

/// From the base value to the output of one example: a bar for each feature, the largest on top, and those left over
/// summed in one. Made with [`Attributions::waterfall`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Waterfall {
    title: String,
    /// The largest first.
    steps: Vec<Step>,
    most: usize,
    base: f64,
    output: f64,
    remarks: Vec<String>,
}

/// What a bar stands for.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    /// The feature's own value, as text.
    value: String,
    amount: f64,
}

impl Attributions {
    /// The way from the base value to the output of one example. `waterfall(0)` has the features' names,
    /// `waterfall((&test, 0))` their values in the first row of `test` too.
    ///
    /// The base value is the output less the sum of the attributions: F(baseline), up to the convergence delta. So it
    /// takes a method whose numbers add up; of others it is an error.
    ///
    /// ```
    /// use candle_explain::prelude::*;
    ///
    /// let (_, test) = Titanic::offline()?.split(Split::Tutorial)?;
    /// let importance = IntegratedGradients::new(Titanic::pretrained()?).attribute(&test, 1)?;
    /// let picture = importance.waterfall((&test, 0))?;
    /// assert!(picture.text().contains("base value") && picture.text().contains("female"));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn waterfall(&self, example: impl Into<Example>) -> Result<Waterfall> {
        let example = Single::of(self, &example.into())?;
        let mut steps: Vec<Step> = example
            .features
            .iter()
            .map(|feature| Step { name: feature.name(), value: feature.value(), amount: feature.attribution })
            .collect();
        steps.sort_by(|a, b| b.amount.abs().total_cmp(&a.amount.abs()));
        let mut remarks = vec![
            "Read from the bottom: each bar starts where the one below it ended. The base value is the output less \
             the sum of the attributions."
                .to_string(),
        ];
        remarks.extend(self.remarks_of(example.position));
        let title = format!(
            "From the base value to the output of example {}{}",
            example.position,
            target_name(self, example.position)
        );
        let drawn = Waterfall { title, steps, most: MOST, base: example.base, output: example.output, remarks };
        let ends = drawn.ends(&drawn.steps);
        reaches(&format!("\"{}\"", drawn.title), ends.into_iter().chain([example.base]))?;
        Ok(drawn)
    }
}

impl Waterfall {
    /// The same picture under another title.
    pub fn title(&self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self.clone() }
    }

    /// The same with up to `most` bars, that of the features left over included; 10 by default.
    pub fn most(&self, most: usize) -> Result<Self> {
        if most < 2 {
            bail!(Input, "most is {most}: expected at least 2 bars, one for a feature and one for all others")
        }
        Ok(Self { most, ..self.clone() })
    }

    /// The bars, those left over as one.
    fn bars(&self) -> Vec<Step> {
        if self.steps.len() <= self.most {
            return self.steps.clone();
        }
        let (shown, others) = self.steps.split_at(self.most - 1);
        let amount = others.iter().map(|step| step.amount).sum();
        let others = Step { name: format!("{} others", others.len()), value: String::new(), amount };
        shown.iter().cloned().chain([others]).collect()
    }

    /// Where each bar ends, from the top; the one below it starts the next.
    fn ends(&self, bars: &[Step]) -> Vec<f64> {
        let mut end = self.output;
        let ends = bars.iter().map(|bar| {
            let here = end;
            end -= bar.amount;
            here
        });
        ends.collect()
    }
}

impl Figure for Waterfall {
    fn html(&self) -> String {
        html::image(&self.draw(), &self.text())
    }

    fn text(&self) -> String {
        let bar = |step: &Step| format!("{}{}: {}", step.name, step.value, signed(step.amount));
        let mut lines = vec![self.title.clone(), format!("output {}", number(self.output))];
        lines.extend(self.bars().iter().map(bar));
        lines.push(format!("base value {}", number(self.base)));
        lines.extend(self.remarks.iter().cloned());
        visible(&lines.join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.draw())
    }
}

impl Waterfall {
    fn draw(&self) -> String {
        const WIDTH: f64 = 660.;
        const TOP: f64 = 64.;
        const ROW: f64 = 28.;
        const BAR: f64 = 18.;
        const WIDEST_NAME: f64 = 250.;
        /// The room for an amount beside a bar.
        const AMOUNT: f64 = 70.;
        const POINT: f64 = 6.;
        let bars = self.bars();
        let labels: Vec<(String, f64)> = bars
            .iter()
            .map(|bar| {
                let beside = wide(&bar.value);
                let name = cut(&bar.name, bars.iter().map(|bar| &bar.name), WIDEST_NAME - beside);
                let room = wide(&name) + beside;
                (name, room)
            })
            .collect();
        let left = MARGIN + 10. + labels.iter().map(|(_, room)| *room).fold(40., f64::max);
        let (from, to) = (left, WIDTH - MARGIN);
        let ends = self.ends(&bars);
        let axis = Axis::new(ends.iter().copied().chain([self.base]), false, 0.);
        let across = Stretch { axis: axis.with_room(AMOUNT / (to - from - 2. * AMOUNT)), from, to };
        let bottom = TOP + ROW * bars.len() as f64;
        let &Colours { ink, faint, .. } = colours();
        let mut canvas = Canvas::new(WIDTH);
        canvas.title(&self.title);
        canvas.axis_below(&across, &across.ticks_below(), (TOP - 2., bottom));
        let [base, output] = [self.base, self.output].map(|value| across.at(value));
        canvas.text_within((output, TOP - 12.), ink, &format!("output {}", number(self.output)));
        canvas.line((output, TOP - 8.), (output, TOP + 5.), faint, true);
        for (row, (bar, (name, _))) in bars.iter().zip(&labels).enumerate() {
            let top = TOP + ROW * row as f64 + 0.5 * (ROW - BAR);
            let (below, middle) = (top + BAR, top + 0.5 * BAR);
            let start = across.at(ends.get(row + 1).copied().unwrap_or(self.base));
            let end = across.at(ends[row]);
            // From where the bar below ends to where this one starts.
            let foot = if row + 1 < bars.len() { below + ROW - BAR } else { bottom };
            canvas.line((start, below), (start, foot), faint, true);
            canvas.push(&format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{ink}\">{}<tspan fill=\"{faint}\">{}</tspan></text>",
                left - 10.,
                middle + 4.,
                html::escape(name),
                html::escape(&bar.value)
            ));
            let forward = if bar.amount < 0. { -1. } else { 1. };
            let shoulder = end - forward * POINT.min((end - start).abs());
            let corners = [(start, top), (shoulder, top), (end, middle), (shoulder, below), (start, below)];
            let amount = signed(bar.amount);
            let tooltip = format!("{}{}: {amount}", bar.name, bar.value);
            if (end - start).abs() < 1. {
                canvas.rectangle((start - 0.5, top), 1., BAR, plain(bar.amount));
            }
            canvas.polygon(&corners, plain(bar.amount), &tooltip);
            let anchor = if bar.amount < 0. { Anchor::End } else { Anchor::Start };
            canvas.text((end + forward * 6., middle + 4.), anchor, ink, &amount);
        }
        canvas.push(&format!(
            "<polygon points=\"{:.1},{:.1} {base:.1},{bottom:.1} {:.1},{:.1}\" fill=\"{ink}\"/>",
            base - 4.,
            bottom + 6.,
            base + 4.,
            bottom + 6.
        ));
        canvas.text_within((base, bottom + 35.), ink, &format!("base value {}", number(self.base)));
        captioned(canvas.svg(bottom + 46., &self.text()), &self.remarks)
    }
}
