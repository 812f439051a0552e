//! From pieces to words.

use std::ops::Range;

use crate::script::{Characters, ends_line, is_mark, unseen, unspaced};

/// A token whose word is not yet known.
pub(super) struct Piece {
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) special: bool,
    pub(super) unknown: bool,
    /// Its place in the text, in bytes.
    pub(super) span: Range<usize>,
    /// The tokenizer's own number of the word, if it gives one.
    pub(super) word: Option<u32>,
}

/// A word while it is put together.
struct Word {
    /// The number of its first piece.
    first: usize,
    special: bool,
    /// Where the words before it end.
    from: usize,
    /// The text of its pieces, in whole characters.
    whole: Range<usize>,
    /// The same without white space at its ends.
    seen: Range<usize>,
    /// The end of its last character that is neither a mark nor invisible.
    base: Option<usize>,
    /// Whether all of it is invisible.
    unseen: bool,
}

impl Word {
    fn new(text: &str, first: usize, special: bool, from: usize, whole: Range<usize>, seen: Range<usize>) -> Self {
        let mut word = Self { first, special, from, whole, seen: seen.start..seen.start, base: None, unseen: true };
        word.see(text, seen);
        word
    }

    /// Extends the visible part; only the new text is looked at.
    fn see(&mut self, text: &str, seen: Range<usize>) {
        if self.seen.is_empty() || seen.start < self.seen.start {
            (self.base, self.unseen, self.seen) = (None, true, seen.start..seen.start);
        }
        let from = self.seen.end;
        let more = text.get(from..seen.end).unwrap_or_default();
        let stem = more.trim_end_matches(|c| is_mark(c) || unseen(c));
        if !stem.is_empty() {
            self.base = Some(from + stem.len());
        }
        self.unseen &= more.chars().all(unseen);
        self.seen = seen;
    }

    /// Whether it is empty or only white space.
    fn is_space(&self) -> bool {
        !self.special && self.seen.is_empty()
    }
}

/// The number of each piece's word, and the words as the text spells them.
///
/// Every piece belongs to exactly one word, so sums over pieces are kept. Every character that is not white space
/// is in exactly one word, in order, even if the tokenizer drops it, as long as there is a piece at all. Pieces belong
/// together
///
/// * if they share a character as readers count them: a letter with its marks, an emoji with its signs;
/// * if the tokenizer takes them as one word, with no white space between them (in scripts written without
///   spaces, however, each piece is a word);
/// * if the tokenizer split a word at a mark or at an invisible character;
/// * if an underscore joins them.
///
/// White space that is a word by itself is shown by a sign.
pub(super) fn join(text: &str, pieces: &[Piece]) -> (Vec<usize>, Vec<String>) {
    let characters = Characters::of(text);
    let mut of_piece = Vec::with_capacity(pieces.len());
    let mut words: Vec<Word> = Vec::new();
    let mut end = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let whole = widened(text, &characters, &piece.span);
        let mut seen = trimmed(text, &whole);
        seen.start = characters.floor(seen.start);
        let last = index.checked_sub(1).map(|before| &pieces[before]);
        let shared = !piece.special && !seen.is_empty() && seen.start < end;
        if shared && let Some(word) = words.iter().rposition(|word| !word.is_space()) {
            // A piece that shares a character with a word also brings the placeless pieces between them.
            words.truncate(word + 1);
            of_piece.iter_mut().rev().take_while(|of| **of > word).for_each(|of| *of = word);
        }
        match (last, words.last_mut()) {
            (Some(last), Some(word)) if belongs(text, last, word, piece, &whole, &seen) => {
                word.whole = union(&word.whole, &whole);
                let seen = union(&word.seen, &seen);
                word.see(text, seen.start.max(word.from)..seen.end.max(word.from));
            }
            _ => {
                let seen = seen.start.max(end)..seen.end.max(end);
                words.push(Word::new(text, index, piece.special, end, whole, seen));
            }
        }
        end = words.last().map_or(end, |word| end.max(word.seen.end));
        of_piece.push(words.len() - 1);
    }
    fill(text, &characters, &mut words);
    let spelled = words.iter().map(|word| spelled(text, word, &pieces[word.first])).collect();
    (of_piece, spelled)
}

/// Whether a piece continues the word of the last piece.
fn belongs(text: &str, last: &Piece, word: &Word, piece: &Piece, whole: &Range<usize>, seen: &Range<usize>) -> bool {
    if word.special || piece.special {
        return false;
    }
    let same_word = last.word.is_some() && last.word == piece.word;
    if word.seen.is_empty() || seen.is_empty() {
        let overlap = !whole.is_empty() && whole.start < word.whole.end;
        return overlap || same_word && (word.seen.is_empty() || whole.is_empty());
    }
    if seen.start < word.seen.end {
        return true;
    }
    let before = &text[word.seen.clone()];
    let between = &text[word.seen.end..seen.start];
    let Some(after) = text[seen.start..].chars().next() else { return false };
    if between.is_empty() && (before.ends_with('_') || after == '_')
        || !between.is_empty() && between.chars().all(|c| c == '_')
    {
        return true;
    }
    if between.contains(char::is_whitespace) || after.is_whitespace() {
        return false;
    }
    let stem = word.base.map(|end| &text[word.seen.start..end]).unwrap_or_default();
    let Some(base) = stem.chars().next_back() else { return unseen(after) || word.unseen };
    if unseen(after) {
        return true;
    }
    if unspaced(base) || unspaced(after) {
        return false;
    }
    let interrupted = stem.len() < before.len() || !between.is_empty();
    same_word || interrupted && between.chars().all(unseen) && base.is_alphabetic() && after.is_alphabetic()
}

/// Gives text that no piece holds, because a normaliser dropped it, to the word before it. If white space separates it
/// from that word, the next word gets it.
fn fill(text: &str, characters: &Characters, words: &mut [Word]) {
    let mut seen: Vec<&mut Range<usize>> =
        words.iter_mut().filter(|word| !word.special && !word.seen.is_empty()).map(|word| &mut word.seen).collect();
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        if let Some(word) = words.iter_mut().find(|word| !word.special) {
            word.seen = trimmed(text, &(0..text.len()));
        }
        return;
    };
    let [head, tail] = [0..first.start, last.end..text.len()].map(|rest| trimmed(text, &rest));
    for index in 1..seen.len() {
        let gap = seen[index - 1].end..seen[index].start;
        let space = text[gap.clone()].rfind(char::is_whitespace).map(|place| gap.start + place);
        let parting = space.map_or(gap.end, |place| {
            // A mark on a space keeps the space.
            let character = characters.floor(place)..characters.ceil(place + 1);
            if text[character.clone()].trim().is_empty() { character.end } else { character.start }
        });
        seen[index].start = parting;
        let lost = trimmed(text, &(gap.start..parting));
        if !lost.is_empty() {
            seen[index - 1].end = lost.end;
        }
    }
    if let Some(first) = seen.first_mut().filter(|_| !head.is_empty()) {
        first.start = characters.floor(head.start);
    }
    if let Some(last) = seen.last_mut().filter(|_| !tail.is_empty()) {
        last.end = tail.end;
    }
}

/// A word as the text spells it or, if it holds no text, as its first piece does.
fn spelled(text: &str, word: &Word, piece: &Piece) -> String {
    let sign = |c: char| if ends_line(c) { '⏎' } else { '␣' };
    let stands_for_space = |c: char| c.is_whitespace() || matches!(c, '▁' | 'Ġ');
    match (&text[word.seen.clone()], &text[word.whole.clone()]) {
        _ if word.special => piece.text.clone(),
        ("", "") if piece.text.chars().all(stands_for_space) => "␣".to_string(),
        ("", white) if !white.is_empty() && white.trim().is_empty() => {
            white.replace("\r\n", "\n").chars().map(sign).collect()
        }
        ("", _) => piece.text.clone(),
        (seen, _) => seen.to_string(),
    }
}

/// A span in whole characters of the text.
fn widened(text: &str, characters: &Characters, span: &Range<usize>) -> Range<usize> {
    let [start, end] = [span.start, span.end].map(|place| place.min(text.len()));
    if start < end {
        characters.floor(start)..characters.ceil(end)
    } else {
        characters.floor(start)..characters.floor(start)
    }
}

/// The place of a piece without the white space at its ends, unless it is nothing else.
pub(super) fn place(text: &str, span: &Range<usize>) -> Range<usize> {
    let seen = trimmed(text, span);
    if seen.is_empty() { span.clone() } else { seen }
}

/// A span without the white space at its ends.
fn trimmed(text: &str, span: &Range<usize>) -> Range<usize> {
    let Some(slice) = text.get(span.clone()) else { return span.start..span.start };
    let start = span.start + (slice.len() - slice.trim_start().len());
    start..start + slice.trim().len()
}

fn union(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces given as (start, end, word); a word of `None` is a special token.
    fn words(text: &str, pieces: &[(usize, usize, Option<u32>)]) -> Vec<String> {
        let piece = |&(start, end, word): &(usize, usize, Option<u32>)| Piece {
            id: 0,
            text: "<s>".to_string(),
            special: word.is_none(),
            unknown: false,
            span: start..end,
            word,
        };
        let pieces: Vec<Piece> = pieces.iter().map(piece).collect();
        let (of_piece, words) = join(text, &pieces);
        assert_eq!(of_piece.len(), pieces.len());
        assert!(of_piece.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
        words
    }

    #[test]
    fn pieces_of_one_word_join() {
        let pieces =
            [(0, 0, None), (0, 4, Some(0)), (4, 7, Some(0)), (8, 10, Some(1)), (10, 11, Some(2)), (0, 0, None)];
        assert_eq!(words("playing on.", &pieces), ["<s>", "playing", "on", ".", "<s>"]);
    }

    #[test]
    fn white_space_parts_even_what_the_tokenizer_takes_together() {
        assert_eq!(words("a b", &[(0, 1, Some(0)), (1, 3, Some(0))]), ["a", "b"]);
    }

    #[test]
    fn an_underscore_joins() {
        let text = "a_b c";
        assert_eq!(words(text, &[(0, 1, Some(0)), (2, 3, Some(1)), (4, 5, Some(2))]), ["a_b", "c"]);
        assert_eq!(words(text, &[(0, 1, Some(0)), (1, 2, Some(1)), (2, 3, Some(2)), (4, 5, Some(3))]), ["a_b", "c"]);
    }

    #[test]
    fn a_piece_of_white_space_belongs_to_the_word_behind_it() {
        assert_eq!(words("a b", &[(0, 1, Some(0)), (1, 2, Some(1)), (2, 3, Some(1))]), ["a", "b"]);
        assert_eq!(words("", &[(0, 0, None), (0, 0, None)]), ["<s>", "<s>"]);
    }

    #[test]
    fn white_space_alone_is_shown_by_a_sign() {
        let pieces = [(0, 1, Some(0)), (1, 3, Some(1)), (3, 4, Some(2)), (4, 5, Some(3))];
        assert_eq!(words("a \n b", &pieces), ["a", "␣⏎", "␣", "b"]);
    }

    #[test]
    fn a_mark_behind_an_added_token_stays_with_it() {
        let pieces = [(0, 3, Some(0)), (3, 3, Some(1)), (3, 5, Some(1)), (5, 6, Some(2))];
        assert_eq!(words("<s>\u{301}\"", &pieces), ["<s>\u{301}", "\""]);
        let white = [(0, 1, Some(0)), (1, 1, Some(1)), (1, 1, Some(2)), (1, 3, Some(3))];
        assert_eq!(words("a\u{301}", &white), ["a\u{301}"]);
        assert_eq!(words("a\u{301}", &[(0, 3, Some(0)), (0, 0, None), (0, 3, Some(1))]), ["a\u{301}", "<s>", "<s>"]);
    }

    #[test]
    fn a_long_word_takes_time_in_proportion() {
        const LENGTH: usize = 150_000;
        let pieces = |count: usize, place: fn(usize) -> (usize, usize)| -> Vec<(usize, usize, Option<u32>)> {
            (0..count).map(|index| (place(index).0, place(index).1, Some(0))).collect()
        };
        let marks = format!("a{}", "\u{301}".repeat(LENGTH));
        let letters = "ي".repeat(LENGTH);
        let hidden = "\u{2060}".repeat(LENGTH);
        let begun = std::time::Instant::now();
        assert_eq!(words(&marks, &pieces(2 * LENGTH, |index| (1 + index, 2 + index))), [marks.as_str()]);
        assert_eq!(
            words(&letters, &pieces(2 * LENGTH, |index| (index / 2 * 2, index / 2 * 2 + 2))),
            [letters.as_str()]
        );
        assert_eq!(words(&hidden, &pieces(LENGTH, |index| (3 * index, 3 * index + 3))), [hidden.as_str()]);
        let parted: Vec<_> = (0..LENGTH).map(|index| (index, index + 1, Some(index as u32))).collect();
        assert_eq!(words(&" ".repeat(LENGTH), &parted).len(), LENGTH);
        assert!(begun.elapsed().as_secs_f64() < 10., "{:?}", begun.elapsed());
    }

    #[test]
    fn pieces_that_share_a_character_stay_in_its_word() {
        assert_eq!(words("é x", &[(0, 2, Some(0)), (0, 2, Some(0)), (3, 4, Some(1))]), ["é", "x"]);
    }
}
