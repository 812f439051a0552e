//! Layers by words: where in the network a text's words count.

use super::Figure;
use super::html::{self, FAINT, GROUND, INK, LINE, escape, number};
use super::palette::Palette;
use crate::error::{Result, bail};
use crate::text::{TextRecord, TokenAttributions, Unit};
use crate::visible::visible;

/// One text's words from left to right, the layers from bottom to top, each field coloured by what
/// flows through it. Made with [`TokenAttributions::layer_map`].
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
        let largest = self.largest();
        let field = |unit: &Unit, place: &str| {
            format!(
                "<td title=\"{}, {}: {}\" style=\"background:{};color:{INK};padding:3px 5px;border:1px solid {GROUND};\
                 text-align:right\">{:.2}</td>",
                escape(bare(place)),
                escape(&unit.text),
                number(unit.value),
                self.palette.ground(unit.value, largest),
                unit.value
            )
        };
        let rows: String = self
            .rows
            .iter()
            .rev()
            .map(|row| {
                let fields: String = row.units().iter().map(|unit| field(unit, row.place())).collect();
                format!(
                    "<tr style=\"background:{GROUND}\"><th style=\"text-align:right;padding:3px 8px;background:{GROUND};\
                     color:{FAINT};font-weight:400;white-space:nowrap\">{}</th>{fields}</tr>",
                    escape(bare(row.place()))
                )
            })
            .collect();
        let words: String = self.rows[0]
            .units()
            .iter()
            .map(|unit| {
                format!(
                    "<th style=\"padding:3px 5px;background:{GROUND};color:{INK};font-weight:600;text-align:center;\
                     border-top:1px solid {LINE}\">{}</th>",
                    escape(&unit.text)
                )
            })
            .collect();
        format!(
            "<div style=\"font-weight:600;padding:2px 10px 6px\">{}</div><table style=\"border-collapse:collapse;\
             background:{GROUND};color:{INK};font-size:12px;margin:0\"><tbody>{rows}<tr style=\"background:{GROUND}\">\
             <th style=\"background:{GROUND}\"></th>{words}</tr></tbody></table>{}",
            escape(&self.title()),
            html::remarks(&self.remarks)
        )
    }

    fn text(&self) -> String {
        let row = |row: &TextRecord| {
            let words: Vec<String> =
                row.units().iter().map(|unit| format!("{} {:+.2}", unit.text, unit.value)).collect();
            format!("{}: {}", bare(row.place()), words.join(" | "))
        };
        let rows = self.rows.iter().rev().map(row);
        let lines = std::iter::once(self.title()).chain(rows).chain(self.remarks.iter().cloned());
        visible(&lines.collect::<Vec<_>>().join("\n"))
    }

    fn svg(&self) -> Option<String> {
        const LEFT: usize = 190;
        const FIELD: (usize, usize) = (46, 24);
        const TOP: usize = 40;
        const WORDS: usize = 96;
        let largest = self.largest();
        let columns = self.rows[0].units().len();
        let (width, bottom) = (LEFT + FIELD.0 * columns + 80, TOP + FIELD.1 * self.rows.len());
        let mut marks = String::new();
        for (row, record) in self.rows.iter().rev().enumerate() {
            let y = TOP + FIELD.1 * row;
            marks.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"{FAINT}\">{}</text>",
                LEFT - 8,
                y + 16,
                escape(bare(record.place()))
            ));
            for (column, unit) in record.units().iter().enumerate() {
                let x = LEFT + FIELD.0 * column;
                marks.push_str(&format!(
                    "<g><title>{}, {}: {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{}\" \
                     stroke=\"{GROUND}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{INK}\">{:.2}</text></g>",
                    escape(bare(record.place())),
                    escape(&unit.text),
                    number(unit.value),
                    FIELD.0,
                    FIELD.1,
                    self.palette.ground(unit.value, largest),
                    x + FIELD.0 / 2,
                    y + 16,
                    unit.value
                ));
            }
        }
        for (column, unit) in self.rows[0].units().iter().enumerate() {
            let (x, y) = (LEFT + FIELD.0 * column + FIELD.0 / 2, bottom + 16);
            marks.push_str(&format!(
                "<text transform=\"translate({x} {y}) rotate(40)\" fill=\"{INK}\">{}</text>",
                escape(&unit.text)
            ));
        }
        let height = bottom + WORDS;
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\" role=\"img\"><desc>{}</desc><rect width=\"100%\" height=\"100%\" \
             fill=\"{GROUND}\"/><text x=\"14\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"{INK}\">{}</text>{marks}</svg>",
            escape(&self.text()),
            escape(&self.title())
        ))
    }
}
