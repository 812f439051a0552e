//! A text as a model reads it.

use std::ops::Range;
use std::sync::Arc;

/// One token of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id in the vocabulary.
    pub id: u32,
    /// How the tokenizer writes it: `tốt`, `Sản@@`, `##ing`, `Ġgood`, `▁good`.
    pub piece: String,
    /// Whether the tokenizer added it: `<s>`, `[CLS]`, padding.
    pub special: bool,
    /// Whether it stands for something that is not in the vocabulary.
    pub unknown: bool,
    /// Where it stands in the text, in bytes, without the white space at its ends unless it is nothing else; empty for
    /// a special token.
    pub span: Range<usize>,
    /// Which of the text's words it is a part of.
    pub word: usize,
    /// The type that the model is told: 1 in the second text of a pair, where the tokenizer tells them apart.
    pub type_id: u32,
}

/// A text as a model reads it: tokens, the words that they join into, and what is known of its class.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedText {
    /// The text that was tokenized: normalised, and segmented into words where that was asked for.
    pub text: String,
    /// The tokens, special ones included.
    pub tokens: Vec<Token>,
    /// The words as the text spells them; a special token is a word of its own.
    pub words: Vec<String>,
    /// The class that the text really is of, where that is known.
    pub label: Option<usize>,
    /// The names of the model's classes.
    pub classes: Arc<Vec<String>>,
    /// Whether the model gives logits rather than probabilities.
    pub logits: bool,
    /// How many tokens were cut off because the model takes no more.
    pub cut: usize,
    /// Whether they were those at the beginning.
    pub cut_at_beginning: bool,
}

impl TokenizedText {
    /// The ids of the tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }

    /// How many tokens stand for something that is not in the vocabulary.
    pub fn unknown(&self) -> usize {
        self.tokens.iter().filter(|token| token.unknown).count()
    }

    /// What was cut off, in words, if anything was.
    pub fn cut_in_words(&self) -> Option<String> {
        let place = if self.cut_at_beginning { "beginning" } else { "end" };
        let tokens = if self.cut == 1 { "1 token".to_string() } else { format!("{} tokens", self.cut) };
        let were = if self.cut == 1 { "was" } else { "were" };
        (self.cut > 0).then(|| format!("{tokens} at the {place} {were} cut off"))
    }

    /// The tokens as the tokenizer writes them.
    pub fn pieces(&self) -> Vec<&str> {
        self.tokens.iter().map(|token| token.piece.as_str()).collect()
    }
}
