//! Where pieces stand, with the white space that they hold.

use std::ops::Range;

use tokenizers::processors::PostProcessorWrapper;

/// How tokenizers of bytes write a space.
const SPACE: char = 'Ġ';

/// The same tokenizer with places that are not trimmed: the library takes the space that it puts before a word for
/// one of the text, and then a word behind an added token would lose its first letter. Ids stay as they are.
pub(super) fn with_untrimmed_places(mut tokenizer: tokenizers::Tokenizer) -> tokenizers::Tokenizer {
    let processor = tokenizer.get_post_processor().cloned().map(untrimmed);
    tokenizer.with_post_processor(processor);
    tokenizer
}

/// Where a piece stands: a space that was put before a word stands nowhere, and not on the word's first letter.
pub(super) fn place(text: &str, piece: &str, span: Range<usize>) -> Range<usize> {
    // Of pieces that share a character, the last one has it.
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
