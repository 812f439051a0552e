//! Where pieces stand, with the white space that they hold.

use tokenizers::processors::PostProcessorWrapper;

/// The same tokenizer with places that are not trimmed: the library takes the space that it puts before a word for
/// one of the text, and then a word behind an added token would lose its first letter. Ids stay as they are.
pub(super) fn with_untrimmed_places(mut tokenizer: tokenizers::Tokenizer) -> tokenizers::Tokenizer {
    let processor = tokenizer.get_post_processor().cloned().map(untrimmed);
    tokenizer.with_post_processor(processor);
    tokenizer
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
