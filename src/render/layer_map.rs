//! Layers by words: where in the network a text's words count.

use super::Figure;
use super::bidi::{self, Order};
use super::captioned::captioned;
use super::heatmap::part;
use super::html::{self, beside_others, escape, number};
use super::measure;
use super::palette::Palette;
use super::theme::{Colours, colours};
use crate::error::{Result, bail};
use crate::script::free_standing;
use crate::text::{TextRecord, TokenAttributions, Unit};
use crate::visible::visible;

/// A picture of one text: its words from left to right as they are displayed, the layers from bottom to top, each field
/// coloured by its attribution. Made with [`TokenAttributions::layer_map`].
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct LayerMap {
    rows: Vec<TextRecord>,
    remarks: Vec<String>,
    palette: Palette,
}

impl TokenAttributions {
    /// The picture of one text that was attributed at several layers, the last layer on top.
    pub fn layer_map(&self) -> Result<LayerMap> {
        let rows = self.records();
        let Some(first) = rows.first() else { bail!(Input, "there is nothing to draw: no layer was attributed") };
        let words = |record: &TextRecord| record.units().iter().map(|unit| unit.text.clone()).collect::<Vec<_>>();
        for (index, row) in rows.iter().enumerate() {
            if words(row) != words(first) || rows[..index].iter().any(|other| other.place() == row.place()) {
                bail!(
                    Input,
                    "a picture of layers shows one text at several layers, and this is {} texts: take one of them",
                    rows.len()
                )
            }
        }
        Ok(LayerMap { rows: rows.to_vec(), remarks: self.remarks(), palette: Palette::default() })
    }
}

impl LayerMap {
    /// The same with other colours.
    pub fn palette(&self, palette: Palette) -> Self {
        Self { palette, ..self.clone() }
    }

    fn largest(&self) -> f64 {
        self.rows.iter().flat_map(TextRecord::units).map(|unit| unit.value.abs()).fold(0., f64::max)
    }

    /// The order of the words, and their indices from left to right.
    fn order(&self) -> (Order, Vec<usize>) {
        let units = self.rows[0].units();
        let order = Order::of(units.iter().map(part));
        let columns = order.line(0..units.len());
        (order, columns)
    }

    /// The number in a field.
    fn field(value: f64, largest: f64) -> String {
        let number = beside_others(value, largest);
        number.strip_prefix('+').map(str::to_string).unwrap_or(number)
    }

    fn title(&self) -> String {
        let label = self.rows[0].attributed().map(|label| format!(" for «{label}»")).unwrap_or_default();
        format!("What flows through each layer{label}")
    }
}

/// A layer's name without the words around it.
pub(super) fn bare(place: &str) -> &str {
    place.trim_start_matches("layer ").trim_matches('"')
}

impl Figure for LayerMap {
    fn html(&self) -> String {
        let Colours { ground, ink, faint, line, .. } = colours();
        let largest = self.largest();
        let (_, columns) = self.order();
        let field = |unit: &Unit, place: &str| {
            format!(
                "<td title=\"{}, {}\" style=\"background:{};color:{ink};padding:3px 5px;border:1px solid {ground};\
                 text-align:right\">{}</td>",
                escape(bare(place)),
                escape(&bidi::named(&free_standing(&unit.text), &number(unit.value))),
                self.palette.ground(unit.value, largest),
                Self::field(unit.value, largest)
            )
        };
        let rows: String = self
            .rows
            .iter()
            .rev()
            .map(|row| {
                let fields: String = columns.iter().map(|column| field(&row.units()[*column], row.place())).collect();
                format!(
                    "<tr style=\"background:{ground}\"><th style=\"text-align:right;padding:3px 8px;background:{ground};\
                     color:{faint};font-weight:400;white-space:nowrap\">{}</th>{fields}</tr>",
                    escape(bare(row.place()))
                )
            })
            .collect();
        let words: String = columns
            .iter()
            .map(|column| &self.rows[0].units()[*column])
            .map(|unit| {
                format!(
                    "<th{} style=\"padding:3px 5px;background:{ground};color:{ink};font-weight:600;text-align:center;\
                     border-top:1px solid {line}\">{}</th>",
                    bidi::direction(&unit.text),
                    escape(&free_standing(&unit.text))
                )
            })
            .collect();
        format!(
            "<div style=\"font-weight:600;padding:2px 10px 6px\">{}</div><table style=\"border-collapse:collapse;\
             background:{ground};color:{ink};font-size:12px;margin:0\"><tbody>{rows}<tr style=\"background:{ground}\">\
             <th style=\"background:{ground}\"></th>{words}</tr></tbody></table>{}",
            escape(&self.title()),
            html::remarks(&self.remarks)
        )
    }

    fn text(&self) -> String {
        let largest = self.largest();
        let row = |row: &TextRecord| {
            let words: Vec<String> = row
                .units()
                .iter()
                .map(|unit| format!("{} {}", unit.text, beside_others(unit.value, largest)))
                .collect();
            format!("{}: {}", bare(row.place()), words.join(" | "))
        };
        let rows = self.rows.iter().rev().map(row);
        let lines = std::iter::once(self.title()).chain(rows).chain(self.remarks.iter().cloned());
        visible(&lines.collect::<Vec<_>>().join("\n"))
    }

    fn svg(&self) -> Option<String> {
        const FIELD: (f64, f64) = (46., 24.);
        const TOP: f64 = 40.;
        const MARGIN: f64 = 14.;
        const SLANT: f64 = 40.;
        let Colours { ground, ink, faint, .. } = colours();
        let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(measure::width).fold(0., f64::max);
        let largest = self.largest();
        let (order, columns) = self.order();
        let words = self.rows[0].units();
        let left = MARGIN + 8. + widest(&mut self.rows.iter().map(|row| bare(row.place())));
        let (below, beside) = SLANT.to_radians().sin_cos();
        let [below, beside] =
            [below, beside].map(|part| part * widest(&mut words.iter().map(|unit| unit.text.as_str())));
        let fields = left + FIELD.0 * words.len() as f64;
        let width = (fields + beside - FIELD.0 / 2.).max(fields).max(measure::width(&self.title()) * 1.2) + MARGIN;
        let bottom = TOP + FIELD.1 * self.rows.len() as f64;
        let mut marks = String::new();
        for (row, record) in self.rows.iter().rev().enumerate() {
            let y = TOP + FIELD.1 * row as f64;
            let place = escape(bare(record.place()));
            marks.push_str(&format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"end\" fill=\"{faint}\">{place}</text>",
                left - 8.,
                y + 16.
            ));
            for (column, unit) in columns.iter().map(|word| &record.units()[*word]).enumerate() {
                let x = left + FIELD.0 * column as f64;
                marks.push_str(&format!(
                    "<g><title>{place}, {}</title><rect x=\"{x:.1}\" y=\"{y}\" width=\"{}\" height=\"{}\" \
                     fill=\"{}\" stroke=\"{ground}\"/><text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" \
                     fill=\"{ink}\">{}</text></g>",
                    escape(&bidi::named(&free_standing(&unit.text), &number(unit.value))),
                    FIELD.0,
                    FIELD.1,
                    self.palette.ground(unit.value, largest),
                    x + FIELD.0 / 2.,
                    y + 16.,
                    Self::field(unit.value, largest)
                ));
            }
        }
        for (column, word) in columns.into_iter().enumerate() {
            let text = free_standing(&words[word].text);
            let (x, y) = (left + FIELD.0 * (column as f64 + 0.5), bottom + 16.);
            marks.push_str(&format!(
                "<text transform=\"translate({x:.1} {y}) rotate({SLANT})\" fill=\"{ink}\">{}</text>",
                escape(&order.alone(word, &text))
            ));
        }
        let height = bottom + 16. + below + 10.;
        let picture = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" role=\"img\"><desc>{}</desc>\
             <rect width=\"100%\" height=\"100%\" fill=\"{ground}\"/><text x=\"{MARGIN}\" y=\"24\" font-size=\"15\" \
             font-weight=\"600\" fill=\"{ink}\">{}</text>{marks}</svg>",
            escape(&self.text()),
            escape(&self.title())
        );
        Some(captioned(picture, &self.remarks))
    }
}
