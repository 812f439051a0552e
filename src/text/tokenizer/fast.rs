//! A tokenizer of the `tokenizers` crate.

use tokenizers::{EncodeInput, Encoding};

use super::assembly::Assembled;
use super::places::{place, with_untrimmed_places};
use super::words::Piece;
use crate::error::{Result, error};

pub(super) struct Fast {
    tokenizer: tokenizers::Tokenizer,
    unknown: Option<u32>,
}

impl Fast {
    pub(super) fn new(assembled: Assembled) -> Self {
        Self { tokenizer: with_untrimmed_places(assembled.tokenizer), unknown: assembled.unknown }
    }

    /// The pieces of a text, or of two with a space between, and each one's type.
    pub(super) fn encode(&self, text: &str, second: Option<&str>) -> Result<(Vec<Piece>, Vec<u32>)> {
        let input: EncodeInput = match second {
            None => text.into(),
            Some(second) => (text, second).into(),
        };
        let encoding = self.tokenizer.encode(input, true).map_err(cannot_encode)?;
        Ok((self.pieces(&encoding, text, second.unwrap_or_default()), encoding.get_type_ids().to_vec()))
    }

    fn pieces(&self, encoding: &Encoding, first: &str, second: &str) -> Vec<Piece> {
        let special = encoding.get_special_tokens_mask();
        // Words are numbered anew in the second text.
        let words = encoding.get_word_ids();
        let of_first = |index: usize| encoding.token_to_sequence(index) != Some(1);
        let after = words.iter().flatten().max().map_or(0, |last| last + 1);
        let piece = |(index, id): (usize, &u32)| {
            let (start, end) = encoding.get_offsets()[index];
            let (text, offset, later) = if of_first(index) { (first, 0, 0) } else { (second, first.len() + 1, after) };
            let span = place(text, &encoding.get_tokens()[index], start..end);
            Piece {
                id: *id,
                text: encoding.get_tokens()[index].clone(),
                special: special[index] == 1,
                unknown: self.unknown == Some(*id),
                span: offset + span.start..offset + span.end,
                word: words[index].map(|word| word + later),
            }
        };
        encoding.get_ids().iter().enumerate().map(piece).collect()
    }

    pub(super) fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode_fast(text, true).map_err(cannot_encode)?.get_ids().to_vec())
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }
}

fn cannot_encode(why: tokenizers::Error) -> crate::Error {
    error!(Input, "the text cannot be tokenized: {why}")
}
