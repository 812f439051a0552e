//! Texts with their classes, from a CSV file.

use std::path::Path;

use super::quotes::unclosed;
use crate::error::{Result, bail, error};

/// A text and, if known, its true class. A `&str` or a pair `(text, class)` converts into a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The text.
    pub text: String,
    /// Its class.
    pub label: Option<usize>,
}

/// Texts with their classes.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let comments = Comments::load("data/comments.csv")?;
/// assert!(comments.len() >= 100);
/// assert_eq!(comments.first(3).len(), 3);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comments {
    rows: Vec<Comment>,
}

impl Comments {
    /// Reads a CSV file with a header and a column `text`. A column `label`, if there is one, holds whole
    /// numbers from 0 on, or nothing. Other columns are ignored. If the path does not exist, it is
    /// looked for in the crate's own folder.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = super::shipped::find(path.as_ref());
        let text = std::fs::read_to_string(&path).map_err(|e| {
            error!(File, "cannot read {}: {e}; expected a CSV file in UTF-8 with a column \"text\"", path.display())
        })?;
        Self::parse(&text).map_err(|e| e.at(path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if let Some(place) = unclosed(text.as_bytes()) {
            let line = text[..place].matches('\n').count() + 1;
            bail!(File, "line {line}: a quote is opened and not closed; write a quote inside of quotes twice")
        }
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let heads = reader.headers().map_err(|e| error!(File, "{e}"))?.clone();
        let column = |name: &str| heads.iter().position(|head| head.trim() == name);
        let Some(texts) = column("text") else {
            let found = heads.iter().collect::<Vec<_>>().join(", ");
            bail!(File, "there is no column \"text\"; the header has: {found}")
        };
        let labels = column("label");
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|e| error!(File, "{e}"))?;
            let line = row.position().map_or(0, csv::Position::line);
            let label = match labels.and_then(|column| row.get(column)).map(str::trim) {
                None | Some("") => None,
                Some(label) => Some(label.parse().map_err(|_| {
                    error!(File, "line {line}: the label is \"{label}\", expected a whole number of at least 0")
                })?),
            };
            rows.push(Comment { text: row.get(texts).unwrap_or_default().to_string(), label });
        }
        if rows.is_empty() {
            bail!(File, "there are no rows below the header")
        }
        Ok(Self { rows })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of them.
    pub fn rows(&self) -> &[Comment] {
        &self.rows
    }

    /// One of them, by position.
    pub fn get(&self, index: usize) -> Result<&Comment> {
        let count = self.rows.len();
        self.rows.get(index).ok_or_else(|| error!(Input, "there is no comment {index}: there are {count}, from 0 on"))
    }

    /// The first `count`, or all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        self.rows[..count.min(self.len())].iter().cloned().collect()
    }

    /// The comments after the first `count`.
    pub fn skip(&self, count: usize) -> Self {
        self.rows[count.min(self.len())..].iter().cloned().collect()
    }
}

impl FromIterator<Comment> for Comments {
    fn from_iter<I: IntoIterator<Item = Comment>>(rows: I) -> Self {
        Self { rows: rows.into_iter().collect() }
    }
}

impl From<&str> for Comment {
    fn from(text: &str) -> Self {
        Self { text: text.to_string(), label: None }
    }
}

impl From<String> for Comment {
    fn from(text: String) -> Self {
        Self { text, label: None }
    }
}

impl From<&String> for Comment {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<(&str, usize)> for Comment {
    fn from((text, label): (&str, usize)) -> Self {
        Self { text: text.to_string(), label: Some(label) }
    }
}

impl From<&Comment> for Comment {
    fn from(comment: &Comment) -> Self {
        comment.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclosed_quote_is_named_by_its_line() {
        let message = |text: &str| Comments::parse(text).unwrap_err().to_string();
        assert!(message("text\ntốt\n\"chậm quá\nhay\ntệ\n").contains("line 3: a quote is opened and not closed"));
        assert!(message("text,label\n\"tốt\nquá\",0\n\"tệ,1\n\"hay\",0\n").contains("line 4: a quote is opened"));
        assert_eq!(Comments::parse("text\n\"tốt\nquá\"\n\"\"\"hay\"\"\"\n").unwrap().get(0).unwrap().text, "tốt\nquá");
    }
}
