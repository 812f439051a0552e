//! From text to the token ids that the model was trained on.

mod added_token;
mod added_vocabulary;
mod assembly;
mod characters;
mod class;
mod cut;
mod fast;
mod folder;
mod limits;
mod phobert;
mod pipeline;
mod places;
mod sentencepiece;
mod special_tokens;
mod vocabulary;
mod words;

use std::path::Path;
use std::sync::Arc;

use self::assembly::assemble;
use self::class::{Chosen, Class};
use self::fast::Fast;
use self::folder::Folder;
use self::limits::Limits;
use self::phobert::PhoBert;
use self::special_tokens::SpecialTokens;
use self::words::{Piece, join, place};
use crate::error::Result;
use crate::text::{Token, TokenizedText};

/// The tokenizer of a checkpoint's folder, as `AutoTokenizer` of `transformers` makes it.
///
/// | Files | Tokenizer |
/// |---|---|
/// | `tokenizer.json` | for the classes below only its vocabulary counts, as in `transformers`; other classes with code of their own in `transformers` are an error |
/// | `vocab.txt` | `BertTokenizer`, `MPNetTokenizer` |
/// | `vocab.json`, `merges.txt` | `RobertaTokenizer`, `GPT2Tokenizer`, `HerbertTokenizer` |
/// | `sentencepiece.bpe.model` | `XLMRobertaTokenizer`, `CamembertTokenizer` |
/// | `spiece.model` | `AlbertTokenizer` |
/// | `spm.model` | `DebertaV2Tokenizer` |
/// | `vocab.txt`, `bpe.codes` | `PhobertTokenizer` |
///
/// `tokenizer_config.json`, or else `config.json`, names the class. Settings come from `tokenizer_config.json`; special
/// and added tokens also from `special_tokens_map.json` and `added_tokens.json`. PhoBERT's input
/// is first normalised to NFC, like its vocabulary.
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
    padding: Option<u32>,
    separator: Option<u32>,
    unlisted_padding: Option<String>,
    largest_id: u32,
    limits: Limits,
}

#[derive(Clone)]
enum Kind {
    Fast(Arc<Fast>),
    PhoBert(Arc<PhoBert>),
}

impl Tokenizer {
    /// Reads the tokenizer of a folder. An error names the file that is missing or broken.
    pub fn from_pretrained(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = Folder::open(folder.as_ref())?;
        let chosen = Chosen::of(&folder);
        if chosen.class == Class::PhoBert && (folder.file("bpe.codes").is_some() || folder.fast()?.is_none()) {
            let special = SpecialTokens::of(&folder, Class::PhoBert, None)?;
            let phobert = PhoBert::read(&folder, &special)?;
            let id = |key: &str| special.named(key).and_then(|token| phobert.token_to_id(token));
            let listed = |token: &str| phobert.has(token) || special.numbers(token);
            let told = special.told().iter().filter_map(|token| phobert.token_to_id(token));
            let declared = special.declared.keys().copied().chain(told);
            return Ok(Self {
                padding: id("pad_token"),
                separator: id("sep_token"),
                unlisted_padding: special.named("pad_token").filter(|token| !listed(token)).map(str::to_string),
                largest_id: declared.chain([phobert.largest_id()]).max().unwrap_or_default(),
                limits: Limits::of(&folder, None)?,
                kind: Kind::PhoBert(Arc::new(phobert)),
            });
        }
        let assembled = assemble(&folder, &chosen)?;
        let id = |key: &str| assembled.special.named(key).and_then(|token| assembled.tokenizer.token_to_id(token));
        Ok(Self {
            padding: id("pad_token"),
            separator: id("sep_token"),
            largest_id: assembled.largest_id,
            unlisted_padding: assembled.unlisted_padding.clone(),
            limits: Limits::of(&folder, assembled.cuts.as_deref())?,
            kind: Kind::Fast(Arc::new(Fast::new(assembled))),
        })
    }

    /// The tokens of a text, special ones included, and the words that they form. A text may have any
    /// length; nothing is cut.
    pub fn encode(&self, text: &str) -> Result<TokenizedText> {
        self.tokenized(text, None)
    }

    /// The tokens of two texts that the model reads as a pair, such as a question and its answer, with the
    /// special tokens between them and their token types. The text of the result is both texts, with a space
    /// between.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<TokenizedText> {
        self.tokenized(first, Some(second))
    }

    fn tokenized(&self, text: &str, second: Option<&str>) -> Result<TokenizedText> {
        let (text, pieces, types) = match &self.kind {
            Kind::Fast(fast) => {
                let (pieces, types) = fast.encode(text, second)?;
                (second.map_or(text.to_string(), |second| format!("{text} {second}")), pieces, types)
            }
            Kind::PhoBert(phobert) => {
                let (text, pieces) = phobert.encode(text, second);
                let types = vec![0; pieces.len()];
                (text, pieces, types)
            }
        };
        let (of_piece, words) = join(&text, &pieces);
        let token = |((piece, word), type_id): ((Piece, usize), u32)| Token {
            id: piece.id,
            piece: piece.text,
            special: piece.special,
            unknown: piece.unknown,
            span: place(&text, &piece.span),
            word,
            type_id,
        };
        let tokens = pieces.into_iter().zip(of_piece).zip(types).map(token).collect();
        Ok(TokenizedText {
            text,
            tokens,
            words,
            label: None,
            classes: Arc::default(),
            logits: false,
            cut: 0,
            cut_at_beginning: false,
        })
    }

    /// The text cut to `most` tokens, special ones included: at its end, or at its
    /// beginning if [`Tokenizer::cuts_beginnings`] says so. Of a pair the longer text is cut first.
    pub fn cut(&self, mut text: TokenizedText, most: usize) -> Result<TokenizedText> {
        // Python tokenizers give the odd token to the first of two texts.
        cut::cut(&mut text, most, self.cuts_beginnings(), matches!(self.kind, Kind::PhoBert(_)))?;
        Ok(text)
    }

    /// Only the ids of a text, special ones included: the fastest call for many texts.
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

    /// The id of padding, if the tokenizer has one.
    pub fn pad_token_id(&self) -> Option<u32> {
        self.padding
    }

    /// The most tokens that a text should have, special ones included, if the tokenizer says so:
    /// `model_max_length` of `tokenizer_config.json`.
    pub fn max_tokens(&self) -> Option<usize> {
        self.limits.tokens
    }

    /// Whether a text that is too long loses its beginning instead of its end: `truncation_side`.
    pub fn cuts_beginnings(&self) -> bool {
        self.limits.cuts_beginnings
    }

    /// The id of the token between two texts.
    pub(crate) fn separator(&self) -> Option<u32> {
        self.separator
    }

    /// The padding token, if neither the vocabulary nor the folder's files have an id for it.
    pub(crate) fn unlisted_padding(&self) -> Option<&str> {
        self.unlisted_padding.as_deref()
    }

    /// The largest id among the tokens of the folder's files and those around every text.
    pub(crate) fn largest_id(&self) -> u32 {
        self.largest_id
    }

    /// Whether the tokenizer expects the syllables of words joined by underscores, so that a text should be segmented
    /// first.
    pub fn expects_segmented_words(&self) -> bool {
        matches!(self.kind, Kind::PhoBert(_))
    }
}
