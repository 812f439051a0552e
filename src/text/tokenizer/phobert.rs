//! PhoBERT's tokenizer: fastBPE over words separated by white space.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::added_vocabulary::AddedVocabulary;
use super::class::Class;
use super::folder::Folder;
use super::special_tokens::SpecialTokens;
use super::words::Piece;
use crate::error::{Result, bail, error};

/// The tokens that come before the vocabulary's own.
const FIRST: [&str; 4] = ["bos_token", "pad_token", "eos_token", "unk_token"];

/// Marks the last symbol of a word among the merges.
const WORD_END: &str = "</w>";
/// Marks a piece that is not the last of its word in the vocabulary.
const GOES_ON: &str = "@@";

/// A symbol of the merges: a character or several merged ones, with or without the mark of
/// the word's end. It is not a token id, because two symbols may be the same unknown token.
type Symbol = u32;

/// How many words are remembered with their ids.
const MOST_REMEMBERED: usize = 100_000;

pub(super) struct PhoBert {
    /// The id of each token of the vocabulary.
    ids: HashMap<String, u32>,
    /// Tokens that are recognised wherever they are typed.
    added: AddedVocabulary,
    unknown: u32,
    /// The tokens around a text.
    start: (String, u32),
    end: (String, u32),
    symbols: HashMap<String, Symbol>,
    /// Each symbol's token in the middle of a word and at its end.
    tokens: Vec<Rendered>,
    /// The rank of a merge, and its result.
    merges: HashMap<(Symbol, Symbol), (u32, Symbol)>,
    /// The ids of earlier words.
    remembered: Mutex<HashMap<String, Box<[u32]>>>,
}

/// A symbol as the vocabulary writes it.
struct Rendered {
    id: u32,
    text: String,
    /// How many bytes of the word it covers.
    length: usize,
}

impl PhoBert {
    pub(super) fn read(folder: &Folder, special: &SpecialTokens) -> Result<Self> {
        let text = |file: &str| {
            folder.text(file).map_err(|e| error!(File, "{e}; PhoBERT's tokenizer is vocab.txt and bpe.codes"))
        };
        let place = |file: &str| folder.path().join(file).display().to_string();
        let ids = vocabulary(&text("vocab.txt")?, special).map_err(|e| e.at(place("vocab.txt")))?;
        let added = AddedVocabulary::new(special.declared.clone(), &special.contents(Class::PhoBert), &ids);
        let added = if folder.switch("split_special_tokens", false)? { added.unsought() } else { added };
        let unknown = ids.get(special.required("unk_token")?).copied().unwrap_or_default();
        let around = |key: &str| -> Result<(String, u32)> {
            let token = special.required(key)?;
            let id = added.id(token).or_else(|| ids.get(token).copied()).unwrap_or(unknown);
            Ok((token.to_string(), id))
        };
        let mut phobert = Self {
            start: around("cls_token")?,
            end: around("sep_token")?,
            ids,
            added,
            unknown,
            symbols: HashMap::new(),
            tokens: Vec::new(),
            merges: HashMap::new(),
            remembered: Mutex::default(),
        };
        phobert.read_merges(&text("bpe.codes")?).map_err(|e| e.at(place("bpe.codes")))?;
        Ok(phobert)
    }

    /// Reads one merge per line: two symbols and a count; the first line ranks highest. White space is
    /// Python's, so a no-break space cannot be part of a symbol: such a line only takes up a rank.
    fn read_merges(&mut self, text: &str) -> Result<()> {
        for (rank, line) in text.lines().enumerate() {
            let fields: Vec<&str> = line.split(is_space).filter(|field| !field.is_empty()).collect();
            match fields.as_slice() {
                [left, right, _count] => {
                    let merged = self.symbol(&format!("{left}{right}"));
                    let pair = (self.symbol(left), self.symbol(right));
                    self.merges.insert(pair, (rank as u32, merged));
                }
                _ if line.contains(|c: char| is_space(c) && c != ' ') => {}
                _ => bail!(File, "line {} is \"{line}\": expected two symbols and a count", rank + 1),
            }
        }
        Ok(())
    }

    /// The number of a symbol, new or known.
    fn symbol(&mut self, text: &str) -> Symbol {
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = self.tokens.len() as Symbol;
        self.symbols.insert(text.to_string(), symbol);
        self.tokens.push(self.render(text));
        symbol
    }

    fn render(&self, symbol: &str) -> Rendered {
        let (text, length) = match symbol.strip_suffix(WORD_END) {
            Some(end) => (end.to_string(), end.len()),
            None => (format!("{symbol}{GOES_ON}"), symbol.len()),
        };
        Rendered { id: self.id(&text), text, length }
    }

    fn id(&self, token: &str) -> u32 {
        self.token_to_id(token).unwrap_or(self.unknown)
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.ids.get(token).copied())
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        self.ids.len() + self.added.contents().filter(|token| !self.ids.contains_key(*token)).count()
    }

    /// Whether the vocabulary has a token.
    pub(super) fn has(&self, token: &str) -> bool {
        self.ids.contains_key(token)
    }

    /// The largest id of the vocabulary, and of the tokens around a text.
    pub(super) fn largest_id(&self) -> u32 {
        self.ids.values().copied().chain([self.start.1, self.end.1]).max().unwrap_or_default()
    }

    /// A text in NFC, or two with a space between, and their pieces.
    pub(super) fn encode(&self, text: &str, second: Option<&str>) -> (String, Vec<Piece>) {
        let mut all = in_nfc(text).into_owned();
        let mut pieces = vec![around(&self.start)];
        self.encode_part(&all, 0, &mut pieces);
        pieces.push(around(&self.end));
        if let Some(second) = second {
            pieces.push(around(&self.end));
            all.push(' ');
            let from = all.len();
            all.push_str(&in_nfc(second));
            self.encode_part(&all, from, &mut pieces);
            pieces.push(around(&self.end));
        }
        (all, pieces)
    }

    /// The pieces of a text from a position on.
    fn encode_part(&self, text: &str, from: usize, pieces: &mut Vec<Piece>) {
        let first_word = pieces.iter().filter_map(|piece| piece.word).max().map_or(0, |last| last + 1);
        for (number, part) in (first_word..).zip(self.words(&text[from..])) {
            let span = from + part.span.start..from + part.span.end;
            let mut start = span.start;
            let mut found = |id: u32, written: &str, length: usize| {
                pieces.push(Piece {
                    id,
                    text: written.to_string(),
                    special: false,
                    unknown: id == self.unknown,
                    span: start..start + length,
                    word: Some(number),
                });
                start += length;
            };
            match part.symbol {
                Some(id) => found(id, &text[span.clone()], span.len()),
                None => self.pieces_of(&text[span], found),
            }
        }
    }

    pub(super) fn ids(&self, text: &str) -> Vec<u32> {
        let text = in_nfc(text);
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        ids.push(self.start.1);
        let mut remembered = self.remembered.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        for part in self.words(&text) {
            let word = &text[part.span];
            if let Some(id) = part.symbol {
                ids.push(id);
            } else if let Some(known) = remembered.get(word) {
                ids.extend_from_slice(known);
            } else {
                let first = ids.len();
                self.pieces_of(word, |id, _, _| ids.push(id));
                if remembered.len() < MOST_REMEMBERED {
                    remembered.insert(word.to_string(), ids[first..].into());
                }
            }
        }
        ids.push(self.end.1);
        ids
    }

    /// The words of a text, and added tokens that are typed in it with their ids.
    fn words<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Part> + 'a {
        self.added.split(text).into_iter().flat_map(move |segment| {
            let (mut position, end) = (segment.span.start, segment.span.end);
            let mut token = segment.id.map(|id| Part { symbol: Some(id), span: segment.span });
            let is_token = token.is_some();
            std::iter::from_fn(move || {
                if is_token {
                    return token.take();
                }
                let span = next_word(&text[..end], position)?;
                position = span.end;
                Some(Part { symbol: None, span })
            })
        })
    }

    /// Calls `found` with the id, the writing and the length in bytes of each piece of a word.
    fn pieces_of(&self, word: &str, mut found: impl FnMut(u32, &str, usize)) {
        let mut characters = word.char_indices().rev();
        let Some((last, _)) = characters.next() else { return };
        if last == 0 {
            return found(self.id(word), word, word.len());
        }
        let mut parts: Vec<Part> = Vec::with_capacity(word.len());
        let mut buffer = String::new();
        for (start, character) in word.char_indices() {
            buffer.clear();
            buffer.push(character);
            if start == last {
                buffer.push_str(WORD_END);
            }
            let symbol = self.symbols.get(&buffer).copied();
            parts.push(Part { symbol, span: start..start + character.len_utf8() });
        }
        while let Some((rank, merged)) = self.best_merge(&parts) {
            let mut rest = std::mem::take(&mut parts).into_iter().peekable();
            while let Some(mut part) = rest.next() {
                let merges = |next: &Part| self.merge_of(&part, next).is_some_and(|(other, _)| other == rank);
                if let Some(next) = rest.next_if(merges) {
                    part.symbol = Some(merged);
                    part.span.end = next.span.end;
                }
                parts.push(part);
            }
        }
        let count = parts.len();
        for (index, part) in parts.into_iter().enumerate() {
            match part.symbol {
                Some(symbol) => {
                    let Rendered { id, text, length } = &self.tokens[symbol as usize];
                    found(*id, text, *length);
                }
                None => {
                    let slice = &word[part.span.clone()];
                    let text = if index + 1 < count { format!("{slice}{GOES_ON}") } else { slice.to_string() };
                    found(self.id(&text), &text, slice.len());
                }
            }
        }
    }

    /// The merge of the lowest rank that can be made.
    fn best_merge(&self, parts: &[Part]) -> Option<(u32, Symbol)> {
        parts.windows(2).filter_map(|pair| self.merge_of(&pair[0], &pair[1])).min()
    }

    fn merge_of(&self, left: &Part, right: &Part) -> Option<(u32, Symbol)> {
        self.merges.get(&(left.symbol?, right.symbol?)).copied()
    }
}

/// One of the tokens around a text.
fn around((text, id): &(String, u32)) -> Piece {
    Piece { id: *id, text: text.clone(), special: true, unknown: false, span: 0..0, word: None }
}

/// The vocabulary from a file with one token per line, followed by a space and its count.
fn vocabulary(text: &str, special: &SpecialTokens) -> Result<HashMap<String, u32>> {
    let mut ids = HashMap::new();
    for (id, key) in (0..).zip(FIRST) {
        ids.insert(special.required(key)?.to_string(), id);
    }
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let Some((token, _count)) = line.rsplit_once(' ') else {
            bail!(File, "line {} is \"{line}\": expected a token and its count", index + 1)
        };
        let next = ids.len() as u32;
        ids.insert(token.to_string(), next);
    }
    Ok(ids)
}

/// A part of a word while its symbols are merged; of a text, a word or a special token.
struct Part {
    /// `None` for a character that no merge knows, and for a word.
    symbol: Option<Symbol>,
    span: Range<usize>,
}

/// The next word from a position on, as Python's `\S+\n?` finds it: a line break directly after a
/// word is its last character, as in PhoBERT's own tokenizer.
fn next_word(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text.get(from..)?.find(|c| !is_space(c))?;
    let end = text[start..].find(is_space).map_or(text.len(), |length| start + length);
    Some(start..if text[end..].starts_with('\n') { end + 1 } else { end })
}

/// Whether Python counts a character as white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn in_nfc(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfc().collect()),
    }
}
