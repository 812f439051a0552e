//! A tokenizer learned from texts.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::{Lowercase, NFC, Sequence as Normalizers};
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::error::{Error, Result, error};

const SPECIAL: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
/// The id of the token that stands for a word left out.
pub(super) const MASK: u32 = 4;
const GOES_ON: &str = "##";
/// How many different characters get a token of their own.
const ALPHABET: usize = 400;

/// Byte pairs in lower case, learned from texts: words are parted at white space, punctuation and
/// underscores, so a text has the same pieces whether its words are joined or not, and digits
/// stand alone, so no number of anybody's is remembered.
pub(super) fn learn<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    size: usize,
    least_count: u64,
) -> Result<Tokenizer> {
    let failed = |e: tokenizers::Error| error!(Input, "no vocabulary can be learned from these texts: {e}");
    let model = BPE::builder()
        .unk_token("<unk>".to_string())
        .continuing_subword_prefix(GOES_ON.to_string())
        .fuse_unk(true)
        .build()
        .map_err(failed)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Normalizers::new(vec![NFC.into(), Lowercase.into()]))).map_err(failed)?;
    let underscore = Split::new(SplitPattern::String("_".to_string()), SplitDelimiterBehavior::Removed, false);
    let parts = vec![
        underscore.map_err(failed)?.into(),
        Whitespace {}.into(),
        Punctuation::new(SplitDelimiterBehavior::Isolated).into(),
        Digits::new(true).into(),
    ];
    tokenizer.with_pre_tokenizer(Some(Sequence::new(parts)));
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(least_count)
        .limit_alphabet(ALPHABET)
        .special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)).to_vec())
        .continuing_subword_prefix(GOES_ON.to_string())
        .show_progress(false)
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts).map_err(failed)?;
    let template = TemplateProcessing::builder()
        .try_single("<s> $A </s>")
        .map_err(template_error)?
        .special_tokens(vec![("<s>", 0), ("</s>", 2)])
        .build()
        .map_err(template_error)?;
    tokenizer.with_post_processor(Some(template));
    Ok(tokenizer)
}

fn template_error(why: impl std::fmt::Display) -> Error {
    error!(Input, "the special tokens cannot be set: {why}")
}
