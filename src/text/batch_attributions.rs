//! The attributions of many texts, with an error for each text that has none.

use super::{StrongestWords, TextRecord, TokenAttributions};
use crate::error::{Error, Result, error};

/// The result of [`Explainer::batch`](super::Explainer::batch): the attributions of each text, or the error
/// that says why it has none. A notebook shows it as a heatmap with the errors below.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let explain = Explainer::from_pretrained("data/sentiment-vi")?.n_steps(5);
/// let comments: Comments = ["Rất tốt", "漢字", "Quá chậm"].into_iter().map(Comment::from).collect();
/// let all = explain.batch(&comments)?;
/// assert_eq!((all.len(), all.records().len(), all.errors().len()), (3, 2, 1));
/// assert!(all.row(1).is_err());
/// assert_eq!(all.row(2)?.units()[1].text, "Quá");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct BatchAttributions {
    explained: TokenAttributions,
    /// For each text its position among the records, or why it has none.
    rows: Vec<Result<usize>>,
    errors: Vec<(usize, Error)>,
}

impl BatchAttributions {
    pub(super) fn new(rows: Vec<Result<TextRecord>>) -> Self {
        let mut records = Vec::new();
        let mut errors = Vec::new();
        let mut place = |(index, row): (usize, Result<TextRecord>)| match row {
            Ok(record) => {
                records.push(record);
                Ok(records.len() - 1)
            }
            Err(error) => {
                errors.push((index, error.clone()));
                Err(error)
            }
        };
        let rows = rows.into_iter().enumerate().map(&mut place).collect();
        Self { explained: TokenAttributions { records }, rows, errors }
    }

    /// How many texts there were.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The attributions of the text at a position, or why it has none.
    pub fn row(&self, index: usize) -> Result<&TextRecord> {
        match self.rows.get(index) {
            Some(Ok(place)) => Ok(&self.explained.records[*place]),
            Some(Err(error)) => Err(error.clone()),
            None => Err(error!(Input, "there is no text {index}: there are {}, from 0 on", self.len())),
        }
    }

    /// The attributions of each text in order, or why it has none.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Result<&TextRecord>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The records of the texts that were explained, in order.
    pub fn records(&self) -> &[TextRecord] {
        self.explained.records()
    }

    /// The attributions of all texts that were explained.
    pub fn attributions(&self) -> &TokenAttributions {
        &self.explained
    }

    /// The positions of the texts that could not be explained, and why.
    pub fn errors(&self) -> &[(usize, Error)] {
        &self.errors
    }

    /// The words that moved the predictions most; see [`TokenAttributions::strongest_words`]. Texts that
    /// could not be explained do not count. If the model has more than two classes, explain all texts for one class:
    /// `explain.target(class).batch(&comments)`.
    pub fn strongest_words(&self, count: usize) -> Result<StrongestWords> {
        self.explained.strongest_words(count)
    }

    /// What the reader must know; see [`TokenAttributions::remarks`]. It names the first texts that could not be
    /// explained.
    pub fn remarks(&self) -> Vec<String> {
        const NAMED: usize = 5;
        let mut remarks = if self.records().is_empty() { Vec::new() } else { self.explained.remarks() };
        remarks.extend(self.refusals(NAMED));
        remarks
    }

    /// A sentence about the texts that could not be explained.
    pub(crate) fn refusals(&self, named: usize) -> Option<String> {
        let first: Vec<String> =
            self.errors.iter().take(named).map(|(index, error)| format!("text {index}: {error}")).collect();
        let more = self.errors.len() - first.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let (failed, all) = (self.errors.len(), self.len());
        (failed > 0).then(|| format!("{failed} of {all} texts could NOT be explained: {}{more}", first.join("; ")))
    }
}
