//! The places of pieces in the text, white space included.

use std::ops::Range;

use tokenizers::processors::PostProcessorWrapper;

/// How byte-level tokenizers write a space.
const SPACE: char = 'Ġ';

/// The same tokenizer with untrimmed places; the ids do not change. The library mistakes the space that it puts before
/// a word for one of the text, so that a word after an added token would lose its first letter.
pub(super) fn with_untrimmed_places(mut tokenizer: tokenizers::Tokenizer) -> tokenizers::Tokenizer {
    let processor = tokenizer.get_post_processor().cloned().map(untrimmed);
    tokenizer.with_post_processor(processor);
    tokenizer
}

/// The place of a piece in the text; a space that was put before a word has an empty place, not the first letter's.
pub(super) fn place(text: &str, piece: &str, span: Range<usize>) -> Range<usize> {
    // If pieces share a character, it belongs to the last one.
    let span = text.floor_char_boundary(span.start)..text.floor_char_boundary(span.end);
    let inserted = piece.chars().all(|c| c == SPACE)
        && text[span.clone()].chars().next().is_some_and(|c| c != SPACE && !c.is_whitespace());
    if inserted { span.start..span.start } else { span }
}

fn untrimmed(processor: PostProcessorWrapper) -> PostProcessorWrapper {
    match processor {
        PostProcessorWrapper::Roberta(roberta) => PostProcessorWrapper::Roberta(roberta.trim_offsets(false)),
        PostProcessorWrapper::ByteLevel(bytes) => PostProcessorWrapper::ByteLevel(bytes.trim_offsets(false)),
        PostProcessorWrapper::Sequence(mut steps) => {
            let mut index = 0;
            while let Some(step) = steps.get(index).cloned() {
                steps.set_mut(index, untrimmed(step));
                index += 1;
            }
            PostProcessorWrapper::Sequence(steps)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_that_was_put_before_a_word_stands_nowhere() {
        assert_eq!((place("tốt", "Ġ", 0..1), place("tốt", "Ġt", 0..1)), (0..0, 0..1));
        assert_eq!((place(" tốt", "Ġ", 0..1), place("Ġ", "Ġ", 0..2)), (0..1, 0..2));
        assert_eq!(place("tốt", "á", 1..3), 1..1);
    }
}
