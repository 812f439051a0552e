//! From text to token ids, as the model was trained with.

mod fast;
mod phobert;
mod words;

use std::path::Path;
use std::sync::Arc;

use self::fast::Fast;
use self::phobert::PhoBert;
use self::words::{Piece, join};
use crate::error::{Result, bail};
use crate::model::{Token, TokenizedText};

/// The tokenizer of a checkpoint's folder: PhoBERT's, from `vocab.txt` and `bpe.codes`, or any
/// that comes as a `tokenizer.json`.
///
/// PhoBERT's input is brought into NFC first, as its vocabulary is.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let tokenizer = Tokenizer::from_pretrained("tests/text/tokenizers/wordpiece")?;
/// let text = tokenizer.encode("giao hàng nhanh")?;
/// assert_eq!(text.words.len(), 5);
/// assert!(text.tokens[0].special);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    kind: Kind,
}

/// What `transformers` calls PhoBERT's tokenizer. Others with the same files cut texts in other ways.
const PHOBERT: &str = "PhobertTokenizer";

#[derive(Clone)]
enum Kind {
    Fast(Arc<Fast>),
    PhoBert(Arc<PhoBert>),
}

impl Tokenizer {
    /// Reads `vocab.txt` and `bpe.codes` if the folder's configuration names no other tokenizer than
    /// PhoBERT's, or else `tokenizer.json`.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let [codes, fast] = ["bpe.codes", "tokenizer.json"].map(|file| folder.join(file));
        let class = class(folder);
        let phobert = class.as_deref().is_none_or(|class| class == PHOBERT);
        let kind = if codes.exists() && phobert {
            Kind::PhoBert(Arc::new(PhoBert::read(&folder.join("vocab.txt"), &codes)?))
        } else if fast.exists() {
            Kind::Fast(Arc::new(Fast::read(&fast)?))
        } else if let Some(class) = class.filter(|_| codes.exists()) {
            bail!(
                File,
                "{} holds the tokenizer {class}, and of those with a bpe.codes only {PHOBERT} can be read: add a \
                 tokenizer.json, if transformers has a fast tokenizer for it",
                folder.display()
            )
        } else {
            bail!(
                File,
                "{} holds no tokenizer: expected tokenizer.json (in Python: AutoTokenizer.from_pretrained(...)\
                 .save_pretrained(...) writes it), or PhoBERT's vocab.txt and bpe.codes",
                folder.display()
            )
        };
        Ok(Self { kind })
    }

    /// The tokens of a text, with the special ones, and the words that they join into. Nothing is
    /// cut, and a text of any length will do.
    pub fn encode(&self, text: &str) -> Result<TokenizedText> {
        let (text, pieces) = match &self.kind {
            Kind::Fast(fast) => (text.to_string(), fast.encode(text)?),
            Kind::PhoBert(phobert) => phobert.encode(text)?,
        };
        let (of_piece, words) = join(&text, &pieces);
        let token = |(piece, word): (Piece, usize)| Token {
            id: piece.id,
            piece: piece.text,
            special: piece.special,
            unknown: piece.unknown,
            span: piece.span,
            word,
        };
        let tokens = pieces.into_iter().zip(of_piece).map(token).collect();
        Ok(TokenizedText { text, tokens, words, label: None, classes: Arc::default(), logits: false, cut: 0 })
    }

    /// The ids of a text alone, the special ones included: the fastest way over many texts.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        match &self.kind {
            Kind::Fast(fast) => fast.ids(text),
            Kind::PhoBert(phobert) => Ok(phobert.ids(text)),
        }
    }

    /// How many tokens the vocabulary has.
    pub fn vocabulary_size(&self) -> usize {
        match &self.kind {
            Kind::Fast(fast) => fast.vocabulary_size(),
            Kind::PhoBert(phobert) => phobert.vocabulary_size(),
        }
    }

    /// Whether its words are joined by underscores, so that a text should be segmented first.
    pub fn expects_segmented_words(&self) -> bool {
        matches!(self.kind, Kind::PhoBert(_))
    }
}

/// The class of the tokenizer in `transformers`, if the folder tells.
fn class(folder: &Path) -> Option<String> {
    ["tokenizer_config.json", "config.json"].into_iter().find_map(|file| {
        let text = std::fs::read_to_string(folder.join(file)).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        json["tokenizer_class"].as_str().map(str::to_string)
    })
}
