//! A tokenizer learned from texts.

use std::collections::HashMap;

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
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result, error};

const SPECIAL: [&str; 5] = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
/// The id of the token that replaces a left-out word.
pub(super) const MASK: u32 = 4;
const GOES_ON: &str = "##";
/// How many different characters get a token of their own.
const ALPHABET: usize = 400;

/// Learns byte pairs in lower case from texts. Words are split at white space, punctuation and
/// underscores, so a text has the same pieces whether its words are joined or not. Digits
/// are single tokens, so nobody's numbers are stored in the vocabulary.
pub(super) fn learn(texts: &[&str], size: usize, least_count: u64) -> Result<Tokenizer> {
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
    let special = SPECIAL.map(|token| AddedToken::from(token, true));
    // The trainer numbers characters inside words in arbitrary order, and breaks ties by number. A fixed
    // order makes the same texts give the same vocabulary.
    let alphabet = alphabet(texts);
    let inside = alphabet.iter().map(|character| AddedToken::from(format!("{GOES_ON}{character}"), false));
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(least_count)
        .limit_alphabet(alphabet.len())
        .initial_alphabet(alphabet.iter().copied().collect())
        .special_tokens(special.iter().cloned().chain(inside).collect())
        .continuing_subword_prefix(GOES_ON.to_string())
        .show_progress(false)
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), texts.iter()).map_err(failed)?;
    let mut learned = Tokenizer::new(tokenizer.get_model().clone());
    learned.with_normalizer(tokenizer.get_normalizer().cloned()).map_err(failed)?;
    learned.with_pre_tokenizer(tokenizer.get_pre_tokenizer().cloned());
    learned.add_special_tokens(special).map_err(failed)?;
    let template = TemplateProcessing::builder()
        .try_single("<s> $A </s>")
        .and_then(|template| template.try_pair("<s> $A </s> </s> $B </s>"))
        .map_err(template_error)?
        .special_tokens(vec![("<s>", 0), ("</s>", 2)])
        .build()
        .map_err(template_error)?;
    learned.with_post_processor(Some(template));
    Ok(learned)
}

/// The most frequent characters, in the order of their code points.
fn alphabet(texts: &[&str]) -> Vec<char> {
    let mut counts: HashMap<char, usize> = HashMap::new();
    for character in texts.iter().flat_map(|text| text.nfc()).flat_map(char::to_lowercase) {
        if !character.is_whitespace() && character != '_' {
            *counts.entry(character).or_default() += 1;
        }
    }
    let mut characters: Vec<(char, usize)> = counts.into_iter().collect();
    characters.sort_by_key(|&(character, count)| (std::cmp::Reverse(count), character));
    let mut alphabet: Vec<char> = characters.into_iter().take(ALPHABET).map(|(character, _)| character).collect();
    alphabet.sort_unstable();
    alphabet
}

fn template_error(why: impl std::fmt::Display) -> Error {
    error!(Input, "the special tokens cannot be set: {why}")
}
