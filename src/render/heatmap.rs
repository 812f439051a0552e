//! Texts whose words are coloured by their attributions.

use super::Figure;
use super::batch::NAMED;
use super::bidi::{self, Order, Part};
use super::html::{self, beside_others, escape, signed};
use super::layer_map::bare;
use super::lettering::{Boxed, Lettering, Placed};
use super::palette::Palette;
use super::theme::{Colours, colours};
use crate::error::{Error, Result};
use crate::script::free_standing;
use crate::text::{BatchAttributions, TextRecord, TokenAttributions, Unit};
use crate::visible::visible;

/// Texts whose words are coloured by their attributions, one below the other, with one
/// scale for all. Made with [`heatmap!`](crate::heatmap) or [`TokenAttributions::heatmap`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug, Default)]
pub struct Heatmap {
    texts: Option<TokenAttributions>,
    /// The remarks on texts that could not be explained.
    refusals: Vec<String>,
    palette: Palette,
}

/// The head of the column of layers.
const PLACE: &str = "Attributed";

impl TokenAttributions {
    /// The texts with their words coloured.
    pub fn heatmap(&self) -> Heatmap {
        Heatmap { texts: Some(self.clone()), ..Heatmap::default() }
    }
}

impl Heatmap {
    /// The same with other colours.
    pub fn palette(&self, palette: Palette) -> Self {
        Self { palette, ..self.clone() }
    }

    /// The same with more texts below, for [`heatmap!`](crate::heatmap).
    pub fn with(mut self, texts: impl IntoTexts) -> Result<Self> {
        let (more, refusals) = texts.into_texts()?;
        self.refusals.extend(refusals);
        if !more.records().is_empty() {
            self.texts = Some(self.texts.map_or_else(|| more.clone(), |texts| texts.with(&more)));
        }
        Ok(self)
    }

    fn records(&self) -> &[TextRecord] {
        self.texts.as_ref().map_or(&[], TokenAttributions::records)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.texts.as_ref().map(TokenAttributions::remarks).unwrap_or_default();
        remarks.extend(self.refusals.iter().cloned());
        remarks
    }

    /// The largest distance of a number from 0, over all texts.
    fn largest(&self) -> f64 {
        let values = self.records().iter().flat_map(TextRecord::units).map(|unit| unit.value.abs());
        values.fold(0., f64::max)
    }

    /// The heads of the columns next to the words, and each record's cells below them.
    fn facts(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let records = self.records();
        let mut columns: Vec<(&'static str, Vec<String>)> = Vec::new();
        let differ = |of: fn(&TextRecord) -> &str| records.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
        let of_each = |of: fn(&TextRecord) -> &str| records.iter().map(|record| bare(of(record)).to_string()).collect();
        if differ(|record| record.method) {
            columns.push(("Method", of_each(|record| record.method)));
        }
        if differ(TextRecord::place) {
            columns.push((PLACE, of_each(TextRecord::place)));
        }
        let mut column = |head, cell: &dyn Fn(&TextRecord) -> Option<String>| {
            if records.iter().any(|record| cell(record).is_some()) {
                columns.push((head, records.iter().map(|record| cell(record).unwrap_or_else(|| "–".into())).collect()));
            }
        };
        column("True label", &|record| record.label().map(str::to_string));
        column("Predicted label", &|record| record.prediction().map(|(name, value)| format!("{name} ({value:.2})")));
        column("Attributed label", &|record| record.attributed().map(str::to_string));
        let largest = self.largest();
        column("Score", &|record| Some(beside_others(record.score(), largest)));
        column("Delta", &|record| record.convergence_delta().map(|delta| format!("{delta:.1e}")));
        let rows = (0..records.len()).map(|row| columns.iter().map(|(_, cells)| cells[row].clone()).collect());
        (columns.iter().map(|(head, _)| *head).collect(), rows.collect())
    }

    fn word(&self, unit: &Unit, largest: f64) -> String {
        /// Longer words may be broken between lines.
        const KEPT_WHOLE: usize = 40;
        let colour = self.palette.ink(unit.special, unit.value, largest);
        let mark = if unit.value < 0. { "dotted" } else { "solid transparent" };
        // Isolated from the text, whose direction it must not take.
        let apart = if unit.special { " dir=\"ltr\"" } else { "" };
        let breaks = if unit.text.chars().count() > KEPT_WHOLE {
            "overflow-wrap:anywhere;-webkit-box-decoration-break:clone;box-decoration-break:clone"
        } else {
            "white-space:nowrap"
        };
        let word = free_standing(&unit.text);
        format!(
            "<span{apart} title=\"{title}\" style=\"padding:1px 4px;margin:0 1px;border-radius:3px;{breaks};\
             background:{ground};color:{colour};border-bottom:2px {mark}\">{word}</span>",
            title = escape(&bidi::named(&word, &signed(unit.value))),
            word = escape(&word),
            ground = self.palette.ground(unit.value, largest),
        )
    }

    /// The words of a text. They are inline, so that the browser orders the words of right-to-left scripts.
    pub(super) fn words(&self, record: &TextRecord, largest: f64) -> String {
        let units = record.units();
        let order = Order::of(units.iter().map(part));
        let direction = if order.is_right_to_left() { "rtl" } else { "ltr" };
        let space = |unit: &Unit| if unit.joined { "" } else { " " };
        let words: String = units.iter().map(|unit| format!("{}{}", space(unit), self.word(unit, largest))).collect();
        format!(
            "<div dir=\"{direction}\" style=\"min-width:240px;max-width:760px;line-height:2.1;text-align:start;\
             overflow-wrap:anywhere\">{}</div>",
            words.trim_start()
        )
    }

    /// The scale in five steps, as (label, value).
    fn legend(&self, largest: f64) -> [(String, f64); 5] {
        let middle = 0.5 * largest;
        [-largest, -middle, 0., middle, largest].map(|value| (beside_others(value, largest), value))
    }

    /// What numbers below and above 0 mean.
    fn sides(&self) -> [String; 2] {
        let mut names: Vec<&str> = self.records().iter().filter_map(TextRecord::attributed).collect();
        names.dedup();
        let label = match names.as_slice() {
            [only] => format!("«{only}»"),
            _ => "the attributed label".to_string(),
        };
        [format!("against {label}"), format!("for {label}")]
    }

    /// The picture's letters and boxes, and its height.
    fn placed(&self) -> Placed {
        let &Colours { ink, faint, line, .. } = colours();
        let largest = self.largest();
        let mut page = Lettering::new();
        let [against, towards] = self.sides();
        page.text(&against, faint, false);
        page.space(8.);
        let boxed = |word, value: f64, special: bool, joined: bool| Boxed {
            word,
            title: signed(value),
            colour: self.palette.ink(special, value, largest),
            ground: self.palette.ground(value, largest),
            dotted: value < 0.,
            special,
            joined,
        };
        let legend = self.legend(largest);
        for (label, value) in &legend {
            page.boxes(&[boxed(label.as_str(), *value, false, false)]);
        }
        page.space(4.);
        page.text(&towards, faint, false);
        page.line_break(1.6);
        let (heads, rows) = self.facts();
        for (record, facts) in self.records().iter().zip(rows) {
            page.rule(line);
            for (head, fact) in heads.iter().zip(&facts) {
                page.text(&format!("{head}: "), faint, false);
                page.text(fact, ink, true);
                page.space(14.);
            }
            page.line_break(1.5);
            let words =
                record.units().iter().map(|unit| boxed(unit.text.as_str(), unit.value, unit.special, unit.joined));
            page.boxes(&words.collect::<Vec<_>>());
            page.line_break(1.7);
        }
        for remark in self.remarks() {
            page.text(&remark, faint, false);
            page.line_break(1.);
        }
        page.placed()
    }
}

impl Figure for Heatmap {
    fn html(&self) -> String {
        let Colours { ground, ink, faint, line, .. } = colours();
        let largest = self.largest();
        let [against, towards] = self.sides();
        let steps: String = self
            .legend(largest)
            .iter()
            .map(|(label, value)| {
                let ground = self.palette.ground(*value, largest);
                format!("<span dir=\"ltr\" style=\"background:{ground};color:{ink};padding:1px 8px\">{label}</span>")
            })
            .collect();
        let legend = format!(
            "<div dir=\"ltr\" style=\"padding:2px 10px 8px\"><span dir=\"ltr\" style=\"color:{faint};border-bottom:2px \
             dotted\">{}</span> {steps} <span dir=\"ltr\" style=\"color:{faint}\">{}</span></div>",
            escape(&against),
            escape(&towards)
        );
        let (heads, rows) = self.facts();
        let cell = |tag: &str, direction: &str, body: &str, white_space: &str| {
            format!(
                "<{tag}{direction} style=\"padding:4px 10px;text-align:left;vertical-align:top;background:{ground};\
                 color:{ink};border:0;border-bottom:1px solid {line};white-space:{white_space}\">{body}</{tag}>"
            )
        };
        let head: String =
            heads.iter().chain(&["Word importance"]).map(|head| cell("th", "", head, "normal")).collect();
        let body: String = self
            .records()
            .iter()
            .zip(rows)
            .map(|(record, facts)| {
                let words = self.words(record, largest);
                let fact = |(head, fact): (&&str, &String)| match *head {
                    PLACE => cell("td", "", &breakable(fact), "normal"),
                    _ => cell("td", bidi::direction(fact), &escape(fact), "nowrap"),
                };
                let cells: String = heads.iter().zip(&facts).map(fact).collect();
                format!("<tr style=\"background:{ground}\">{cells}{}</tr>", cell("td", "", &words, "normal"))
            })
            .collect();
        format!(
            "{legend}<table style=\"border-collapse:collapse;background:{ground};color:{ink};font-size:13px;margin:0\">\
             <thead><tr style=\"background:{ground}\">{head}</tr></thead><tbody>{body}</tbody></table>{}",
            html::remarks(&self.remarks())
        )
    }

    fn text(&self) -> String {
        let largest = self.largest();
        let (heads, rows) = self.facts();
        let mut lines = Vec::new();
        for (record, facts) in self.records().iter().zip(rows) {
            let facts: Vec<String> = heads.iter().zip(&facts).map(|(head, fact)| format!("{head}: {fact}")).collect();
            lines.push(facts.join("; "));
            let words: Vec<String> = record
                .units()
                .iter()
                .map(|unit| format!("{} {}", unit.text, beside_others(unit.value, largest)))
                .collect();
            lines.push(format!("  {}", words.join(" | ")));
        }
        lines.extend(self.remarks());
        visible(&lines.join("\n"))
    }

    fn svg(&self) -> Option<String> {
        Some(self.placed().svg(&self.text()))
    }
}

impl Figure for TokenAttributions {
    fn html(&self) -> String {
        self.heatmap().html()
    }

    fn text(&self) -> String {
        self.heatmap().text()
    }

    fn svg(&self) -> Option<String> {
        self.heatmap().svg()
    }
}

/// The figure as text, which a notebook shows if it cannot show the figure.
impl std::fmt::Debug for TokenAttributions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

/// The part of a unit that decides its direction.
pub(super) fn part(unit: &Unit) -> Part<'_> {
    Part { letters: (!unit.special).then_some(unit.text.as_str()), joined: unit.joined }
}

/// A layer's name, escaped, with possible line breaks between its parts.
fn breakable(place: &str) -> String {
    escape(place).replace('.', ".<wbr>").replace('_', "_<wbr>")
}

/// The attributions of texts, those of a batch, or a `Result` of them.
pub trait IntoTexts {
    /// The attributions, and a remark on texts that have none; or the error.
    fn into_texts(self) -> Result<(TokenAttributions, Option<String>)>;
}

impl IntoTexts for &TokenAttributions {
    fn into_texts(self) -> Result<(TokenAttributions, Option<String>)> {
        Ok((self.clone(), None))
    }
}

impl IntoTexts for &BatchAttributions {
    fn into_texts(self) -> Result<(TokenAttributions, Option<String>)> {
        Ok((self.attributions().clone(), self.refusals(NAMED)))
    }
}

impl<T> IntoTexts for &Result<T, Error>
where
    for<'a> &'a T: IntoTexts,
{
    fn into_texts(self) -> Result<(TokenAttributions, Option<String>)> {
        self.as_ref().map_err(Clone::clone)?.into_texts()
    }
}

/// Several texts in one heatmap with one scale of colours: `heatmap![words, more?]`. It borrows the
/// attributions, takes them with or without `?`, and gives a `Result`.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let explain = Explainer::from_pretrained("data/sentiment-vi")?;
/// let good = explain.visualize("Sản phẩm rất tốt")?;
/// let both = heatmap![good, explain.visualize("Giao hàng quá chậm")]?;
/// assert_eq!(both.html().matches("<tr").count(), 3);
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! heatmap {
    ($($texts:expr),+ $(,)?) => {
        Ok::<_, $crate::Error>($crate::render::Heatmap::default())
            $(.and_then(|heatmap| heatmap.with(&$texts)))+
    };
}
