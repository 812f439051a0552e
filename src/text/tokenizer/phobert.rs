//! PhoBERT's tokenizer: fastBPE over words that white space parts.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::words::Piece;
use crate::error::{Result, bail, error};

/// The ids that stand before the vocabulary's own.
const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const START: u32 = 0;
const END: u32 = 2;
const UNKNOWN: u32 = 3;
const MASK: &str = "<mask>";

/// Marks the last symbol of a word among the merges.
const WORD_END: &str = "</w>";
/// Marks a piece that is not the last of its word in the vocabulary.
const GOES_ON: &str = "@@";

/// A symbol of the merges: a character or several that were merged, with or without the mark of
/// the word's end. It is a number of its own, as two symbols may be the same unknown token.
type Symbol = u32;

pub(super) struct PhoBert {
    /// The id of each token of the vocabulary.
    ids: HashMap<String, u32>,
    symbols: HashMap<String, Symbol>,
    /// Each symbol's token in the middle of a word and at its end.
    tokens: Vec<Rendered>,
    /// The rank of a merge, and what it gives.
    merges: HashMap<(Symbol, Symbol), (u32, Symbol)>,
}

/// A symbol as the vocabulary writes it.
struct Rendered {
    id: u32,
    text: String,
    /// How many bytes of the word it stands for.
    length: usize,
}

impl PhoBert {
    pub(super) fn read(vocabulary: &Path, codes: &Path) -> Result<Self> {
        let [vocabulary_text, codes_text] = [vocabulary, codes].map(|path| {
            std::fs::read_to_string(path).map_err(|e| {
                error!(File, "cannot read {}: {e}; PhoBERT's tokenizer is vocab.txt and bpe.codes", path.display())
            })
        });
        let mut phobert = Self {
            ids: HashMap::new(),
            symbols: HashMap::new(),
            tokens: Vec::new(),
            merges: HashMap::new(),
        };
        phobert.read_vocabulary(&vocabulary_text?).map_err(|e| e.at(vocabulary.display()))?;
        phobert.read_merges(&codes_text?).map_err(|e| e.at(codes.display()))?;
        Ok(phobert)
    }

    /// One token a line, with its count behind the last space.
    fn read_vocabulary(&mut self, text: &str) -> Result<()> {
        self.ids.extend(SPECIAL.iter().zip(0..).map(|(token, id)| (token.to_string(), id)));
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            let Some((token, _count)) = line.rsplit_once(' ') else {
                bail!(File, "line {} is \"{line}\": expected a token and its count", index + 1)
            };
            let next = self.ids.len() as u32;
            self.ids.entry(token.to_string()).or_insert(next);
        }
        let next = self.ids.len() as u32;
        self.ids.entry(MASK.to_string()).or_insert(next);
        Ok(())
    }

    /// One merge a line: two symbols and a count, parted by single spaces; the first line ranks highest.
    fn read_merges(&mut self, text: &str) -> Result<()> {
        for (rank, line) in text.lines().enumerate() {
            let mut parts = line.split(' ');
            let (Some(left), Some(right)) = (parts.next(), parts.next().filter(|right| !right.is_empty())) else {
                bail!(File, "line {} is \"{line}\": expected two symbols and a count", rank + 1)
            };
            let merged = self.symbol(&format!("{left}{right}"));
            let pair = (self.symbol(left), self.symbol(right));
            self.merges.entry(pair).or_insert((rank as u32, merged));
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
        self.ids.get(token).copied().unwrap_or(UNKNOWN)
    }

    pub(super) fn vocabulary_size(&self) -> usize {
        self.ids.len()
    }

    /// The text in NFC, and its pieces.
    pub(super) fn encode(&self, text: &str) -> Result<(String, Vec<Piece>)> {
        let text = in_nfc(text);
        let special = |id: u32| Piece {
            id,
            text: SPECIAL[id as usize].to_string(),
            special: true,
            unknown: false,
            span: 0..0,
            word: None,
        };
        let mut pieces = vec![special(START)];
        for (number, word) in words(&text).enumerate() {
            let mut start = word.start;
            self.pieces_of(&text[word], |id, written, length| {
                pieces.push(Piece {
                    id,
                    text: written.to_string(),
                    special: false,
                    unknown: id == UNKNOWN,
                    span: start..start + length,
                    word: Some(number as u32),
                });
                start += length;
            });
        }
        pieces.push(special(END));
        Ok((text, pieces))
    }

    pub(super) fn ids(&self, text: &str) -> Vec<u32> {
        let text = in_nfc(text);
        let mut ids = vec![START];
        for word in words(&text) {
            self.pieces_of(&text[word], |id, _, _| ids.push(id));
        }
        ids.push(END);
        ids
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
            let mut index = 0;
            while index + 1 < parts.len() {
                if self.merge_of(&parts[index], &parts[index + 1]).is_some_and(|(other, _)| other == rank) {
                    parts[index].symbol = Some(merged);
                    parts[index].span.end = parts[index + 1].span.end;
                    parts.remove(index + 1);
                }
                index += 1;
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

/// A part of a word while its symbols are merged.
struct Part {
    /// None for a character that no merge knows.
    symbol: Option<Symbol>,
    span: Range<usize>,
}

/// The parts of a text between white space, as Python's `\S+` finds them.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let start = text.as_ptr() as usize;
    text.split(is_space).filter(|word| !word.is_empty()).map(move |word| {
        let first = word.as_ptr() as usize - start;
        first..first + word.len()
    })
}

fn in_nfc(text: &str) -> String {
    let mut normalized = tokenizers::NormalizedString::from(text);
    normalized.nfc();
    normalized.get().to_string()
}
