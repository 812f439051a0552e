//! A table of text and numbers.

use super::Figure;
use super::Palette;
use super::bidi;
use super::html::{self, escape, number};
use super::theme::{Colours, colours};
use crate::script::free_standing;

/// A table with a caption, a row of heads, and remarks below it.
/// [`theme`](Figure::theme) draws it in light or dark.
#[derive(Clone, Debug)]
pub struct Table {
    caption: String,
    heads: Vec<String>,
    rows: Vec<Vec<Cell>>,
    remarks: Vec<String>,
}

#[derive(Clone, Debug)]
enum Cell {
    Text(String),
    Number(f64),
    /// A number on a background that shows its sign and how near it is to the largest of its column.
    Signed(f64, f64),
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>, heads: &[&str]) -> Self {
        let heads = heads.iter().map(ToString::to_string).collect();
        Self { caption: caption.into(), heads, rows: Vec::new(), remarks: Vec::new() }
    }

    pub(crate) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remarks.push(remark.into());
        self
    }

    pub(crate) fn remarks(mut self, remarks: impl IntoIterator<Item = String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    /// Whether there are numbers in a column, which then stands at its right edge.
    fn is_of_numbers(&self, column: usize) -> bool {
        self.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Number(_) | Cell::Signed(..))))
    }

    /// The same with one more row, whose cells `fill` adds from left to right.
    pub fn row(mut self, fill: impl FnOnce(Cells) -> Cells) -> Self {
        self.rows.push(fill(Cells(Vec::new())).0);
        self
    }
}

/// A head that a narrow table may break where a word begins inside a name, as in `IntegratedGradients`.
fn breakable(head: &str) -> String {
    let mut broken = String::new();
    let mut before = None;
    for letter in head.chars() {
        if letter.is_uppercase() && before.is_some_and(char::is_lowercase) {
            broken.push_str("<wbr>");
        }
        broken.push_str(&escape(letter.encode_utf8(&mut [0; 4])));
        before = Some(letter);
    }
    broken
}

/// The cells of one row, from left to right.
#[derive(Clone, Debug)]
pub struct Cells(Vec<Cell>);

impl Cells {
    /// The same with a text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.push(Cell::Text(text.into()));
        self
    }

    /// The same with a number.
    pub fn number(mut self, value: f64) -> Self {
        self.0.push(Cell::Number(value));
        self
    }

    /// The same with a number that has a sign: coloured by it, the stronger the nearer it is to the largest of its kind.
    pub fn signed(mut self, value: f64, largest: f64) -> Self {
        self.0.push(Cell::Signed(value, largest));
        self
    }
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(value) | Cell::Signed(value, _) => number(*value),
        }
    }

    /// The cell in a column of numbers or of texts.
    fn html(&self, of_numbers: bool) -> String {
        let text = self.text();
        let &Colours { ground, ink, .. } = colours();
        let (align, ground) = match self {
            Cell::Text(_) if of_numbers || bidi::is_right_to_left(&text) => ("right", ground),
            Cell::Text(_) => ("left", ground),
            Cell::Number(_) => ("right", ground),
            Cell::Signed(value, largest) => ("right", Palette::default().ground(*value, *largest)),
        };
        format!(
            "<td{} style=\"padding:2px 10px;text-align:{align};background:{ground};color:{ink};border:0\">{}</td>",
            bidi::direction(&text),
            escape(&free_standing(&text))
        )
    }
}

impl Figure for Table {
    fn html(&self) -> String {
        let Colours { ground, ink, line, .. } = colours();
        let of_numbers: Vec<bool> = (0..self.heads.len()).map(|column| self.is_of_numbers(column)).collect();
        let head = |(head, of_numbers): (&String, &bool)| {
            let align = if *of_numbers { "right" } else { "left" };
            format!(
                "<th scope=\"col\" style=\"padding:2px 10px;text-align:{align};vertical-align:bottom;font-weight:600;\
                 background:{ground};color:{ink};border:0;border-bottom:1px solid {line}\">{}</th>",
                breakable(head)
            )
        };
        let heads: String = self.heads.iter().zip(&of_numbers).map(head).collect();
        let rows: String = self
            .rows
            .iter()
            .map(|row| {
                let cells = row.iter().zip(of_numbers.iter().chain(std::iter::repeat(&false)));
                let cells = cells.map(|(cell, of_numbers)| cell.html(*of_numbers));
                format!("<tr style=\"background:{ground}\">{}</tr>", cells.collect::<String>())
            })
            .collect();
        let remarks = html::remarks(&self.remarks);
        let table = if self.rows.is_empty() {
            String::new()
        } else {
            format!(
                "<table style=\"border-collapse:collapse;background:{ground};color:{ink};font-size:13px;margin:0\">\
                 <thead><tr style=\"background:{ground}\">{heads}</tr></thead><tbody>{rows}</tbody></table>"
            )
        };
        format!("<div style=\"font-weight:600;padding:2px 10px 6px\">{}</div>{table}{remarks}", escape(&self.caption))
    }

    fn text(&self) -> String {
        let texts: Vec<Vec<String>> = std::iter::once(self.heads.clone())
            .chain(self.rows.iter().map(|row| row.iter().map(Cell::text).collect()))
            .collect();
        let width = |column: usize| {
            texts.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, text)| format!("{text:<0$}", width(column)));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
        };
        let mut lines = vec![self.caption.clone()];
        if !self.rows.is_empty() {
            lines.extend(texts.iter().map(line));
        }
        lines.extend(self.remarks.iter().cloned());
        lines.join("\n")
    }
}
