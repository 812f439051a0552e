//! Cutting texts that are too long.

use std::ops::Range;

use crate::error::{Result, bail};
use crate::text::TokenizedText;

/// Removes tokens until `most` are left, at the ends of the texts or at their beginnings, but keeps the special tokens
/// around them. Of two texts the longer one is cut until both are equally long, as in `transformers`.
pub(super) fn cut(text: &mut TokenizedText, most: usize, beginnings: bool, favour_first: bool) -> Result<()> {
    if text.tokens.len() <= most {
        return Ok(());
    }
    let parts = parts(text);
    let own: usize = parts.iter().map(ExactSizeIterator::len).sum();
    let around = text.tokens.len() - own;
    if most < around + parts.len() {
        bail!(Input, "at most {most} tokens: {around} stand around the text alone, and none would be left of it")
    }
    let lengths: Vec<usize> = parts.iter().map(ExactSizeIterator::len).collect();
    let kept = kept(&lengths, most - around, favour_first);
    for (part, kept) in parts.into_iter().zip(kept).rev() {
        let gone = part.len() - kept;
        let gone = if beginnings { part.start..part.start + gone } else { part.end - gone..part.end };
        text.cut += gone.len();
        text.tokens.drain(gone);
    }
    text.cut_at_beginning = beginnings;
    Ok(())
}

/// The tokens of each text: two texts have special tokens between them, or their types differ.
fn parts(text: &TokenizedText) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (index, token) in text.tokens.iter().enumerate().filter(|(_, token)| !token.special) {
        match parts.last_mut() {
            Some(part) if part.end == index && text.tokens[part.start].type_id == token.type_id => part.end = index + 1,
            _ => parts.push(index..index + 1),
        }
    }
    parts
}

/// How many tokens each of one or two texts keeps of `room`. If both are cut and the room is odd, the text
/// that was longer keeps one more, or the first if it is favoured.
fn kept(lengths: &[usize], room: usize, favour_first: bool) -> Vec<usize> {
    let &[first, second] = lengths else { return vec![room; lengths.len()] };
    let shorter = first.min(second);
    if 2 * shorter <= room {
        return if first > second { vec![room - shorter, shorter] } else { vec![shorter, room - shorter] };
    }
    let (less, more) = (room / 2, room - room / 2);
    if favour_first || first > second { vec![more, less] } else { vec![less, more] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_text_gives_way_first() {
        assert_eq!(kept(&[10], 4, false), [4]);
        assert_eq!(kept(&[3, 10], 8, false), [3, 5]);
        assert_eq!(kept(&[10, 3], 8, false), [5, 3]);
        assert_eq!(kept(&[10, 10], 7, false), [3, 4]);
        assert_eq!(kept(&[11, 10], 7, false), [4, 3]);
        assert_eq!(kept(&[9, 10], 3, false), [1, 2]);
        assert_eq!(kept(&[9, 10], 3, true), [2, 1]);
    }
}
