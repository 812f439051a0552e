//! Any tokenizer that comes as a `tokenizer.json`.

use std::path::Path;

use super::words::Piece;
use crate::error::{Result, error};

/// How vocabularies write what is not in them.
const UNKNOWN: [&str; 2] = ["<unk>", "[UNK]"];

pub(super) struct Fast {
    tokenizer: tokenizers::Tokenizer,
    unknown: Option<u32>,
}

impl Fast {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut tokenizer = tokenizers::Tokenizer::from_file(path)
            .map_err(|e| error!(File, "{} is not a tokenizer: {e}: fetch it again", path.display()))?;
        // A text is never cut or filled up in silence.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| error!(File, "{}: {e}", path.display()))?;
        let unknown = UNKNOWN.iter().find_map(|token| tokenizer.token_to_id(token));
        Ok(Self { tokenizer, unknown })
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<Piece>> {
        let encoding = self.tokenizer.encode(text, true).map_err(cannot_encode)?;
        let special = encoding.get_special_tokens_mask();
        let piece = |(index, id): (usize, &u32)| {
            let (start, end) = encoding.get_offsets()[index];
            Piece {
                id: *id,
                text: encoding.get_tokens()[index].clone(),
                special: special[index] == 1,
                unknown: self.unknown == Some(*id),
                // Of pieces that share a character, the last one has it.
                span: text.floor_char_boundary(start)..text.floor_char_boundary(end),
                word: encoding.get_word_ids()[index],
            }
        };
        Ok(encoding.get_ids().iter().enumerate().map(piece).collect())
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
