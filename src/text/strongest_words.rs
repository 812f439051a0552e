//! The words that moved many predictions most.

use crate::engine::Series;
use crate::error::Result;

/// The words that moved the predictions of many texts most, the strongest first.
#[derive(Clone, Debug)]
pub struct StrongestWords {
    pub(super) words: Vec<WordStrength>,
    pub(super) class: String,
    pub(super) texts: usize,
}

/// A word and its attributions over many texts.
#[derive(Clone, Debug, PartialEq)]
pub struct WordStrength {
    /// The word, in lower case.
    pub word: String,
    /// The sum of its attributions, above 0 for the class that was attributed.
    pub sum: f64,
    /// How often it occurs in the texts.
    pub count: usize,
}

impl StrongestWords {
    /// The words, the strongest first.
    pub fn words(&self) -> &[WordStrength] {
        &self.words
    }

    /// The class that numbers above 0 speak for.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// How many texts there were.
    pub fn texts(&self) -> usize {
        self.texts
    }

    /// The sums as a series, each labelled with the word and how often it occurs.
    pub fn series(&self) -> Result<Series> {
        let sums = self.words.iter().map(|word| word.sum).collect();
        let labels = self.words.iter().map(|word| format!("{} ({}×)", word.word, word.count));
        Series::new(format!("Words for «{}» in {} texts", self.class, self.texts), sums).with_labels(labels)
    }
}
