//! A tokenized text.

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
    /// Whether it replaces text that is not in the vocabulary.
    pub unknown: bool,
    /// Its bytes in the text, without white space at its ends unless it is nothing else; empty for
    /// a special token.
    pub span: Range<usize>,
    /// Which of the text's words it is a part of.
    pub word: usize,
    /// Its token type for the model: 1 in the second text of a pair, if the tokenizer distinguishes them.
    pub type_id: u32,
}

/// A tokenized text: its tokens, the words that they form, and its class if known.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedText {
    /// The text that was tokenized: normalised and, if asked for, segmented into words.
    pub text: String,
    /// The tokens, special ones included.
    pub tokens: Vec<Token>,
    /// The words as the text spells them; a special token is a word of its own.
    pub words: Vec<String>,
    /// The true class of the text, if known.
    pub label: Option<usize>,
    /// The names of the model's classes.
    pub classes: Arc<Vec<String>>,
    /// Whether the model gives logits rather than probabilities.
    pub logits: bool,
    /// How many tokens were cut off because the text was too long.
    pub cut: usize,
    /// Whether tokens were cut off at the beginning.
    pub cut_at_beginning: bool,
}

impl TokenizedText {
    /// The ids of the tokens.
    pub fn ids(&self) -> Vec<u32> {
        self.tokens.iter().map(|token| token.id).collect()
    }

    /// How many tokens replace text that is not in the vocabulary.
    pub fn unknown(&self) -> usize {
        self.tokens.iter().filter(|token| token.unknown).count()
    }

    /// A sentence about what was cut off, if anything was.
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
