//! From pieces to the words they are parts of.

use std::ops::Range;

/// A token before it is known which word it belongs to.
pub(super) struct Piece {
    pub(super) id: u32,
    pub(super) text: String,
    pub(super) special: bool,
    pub(super) unknown: bool,
    /// Where it stands in the text, in bytes.
    pub(super) span: Range<usize>,
    /// The tokenizer's own number of the word, if it tells.
    pub(super) word: Option<u32>,
}

/// The number of each piece's word, and the words as the text spells them.
///
/// Pieces belong together if the tokenizer says so and no white space is between them, or if an
/// underscore joins them. Every piece belongs to exactly one word, so sums over pieces are kept.
pub(super) fn join(text: &str, pieces: &[Piece]) -> (Vec<usize>, Vec<String>) {
    let mut of_piece = Vec::with_capacity(pieces.len());
    let mut spans: Vec<Range<usize>> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let span = trimmed(text, &piece.span);
        let last = index.checked_sub(1).map(|before| &pieces[before]);
        match (last, spans.last_mut()) {
            (Some(last), Some(word)) if belongs(text, last, word, piece, &span) => {
                *word = if Range::is_empty(word) { span } else { word.start..word.end.max(span.end) };
            }
            _ => spans.push(span),
        }
        of_piece.push(spans.len() - 1);
    }
    let first_piece = |word: usize| of_piece.iter().position(|other| *other == word).map(|index| &pieces[index]);
    let spelled = |(word, span): (usize, &Range<usize>)| match text.get(span.clone()) {
        Some(slice) if !slice.is_empty() => slice.to_string(),
        _ => first_piece(word).map(|piece| white_space(text, piece).unwrap_or(piece.text.clone())).unwrap_or_default(),
    };
    let words = spans.iter().enumerate().map(spelled).collect();
    (of_piece, words)
}

/// The sign of a piece that is nothing but white space, however the tokenizer writes it.
fn white_space(text: &str, piece: &Piece) -> Option<String> {
    let slice = text.get(piece.span.clone()).filter(|slice| !piece.special && !slice.is_empty())?;
    let sign = |c: char| if matches!(c, '\n' | '\r') { '⏎' } else { '␣' };
    slice.chars().all(char::is_whitespace).then(|| slice.chars().map(sign).collect())
}

/// Whether a piece, without its white space at `span`, goes on with the word of the last one.
fn belongs(text: &str, last: &Piece, word: &Range<usize>, piece: &Piece, span: &Range<usize>) -> bool {
    if last.special || piece.special {
        return false;
    }
    let same_word = last.word.is_some() && last.word == piece.word;
    if Range::is_empty(word) {
        return same_word;
    }
    let between = text.get(word.end..span.start.max(word.end)).unwrap_or_default();
    let underscore = between == "_"
        || between.is_empty()
            && (text[..word.end].ends_with('_') || text.get(span.clone()).is_some_and(|slice| slice.starts_with('_')));
    underscore || same_word && !between.contains(char::is_whitespace)
}

/// A span without the white space at its ends.
fn trimmed(text: &str, span: &Range<usize>) -> Range<usize> {
    let Some(slice) = text.get(span.clone()) else { return span.start..span.start };
    let start = span.start + (slice.len() - slice.trim_start().len());
    start..start + slice.trim().len()
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
    fn pieces_that_share_a_character_stay_in_its_word() {
        assert_eq!(words("é x", &[(0, 2, Some(0)), (0, 2, Some(0)), (3, 4, Some(1))]), ["é", "x"]);
    }
}
