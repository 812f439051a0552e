//! A tokenizer of the `tokenizers` crate from a folder, put together as `transformers` does.

use serde_json::Value;
use tokenizers::normalizers::{NormalizerWrapper, Sequence};
use tokenizers::{AddedToken, Model, ModelWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer};

use super::characters;
use super::class::{Chosen, Class, is_made_otherwise};
use super::folder::Folder;
use super::pipeline::{self, Step};
use super::special_tokens::SpecialTokens;
use super::vocabulary::{Vocabulary, kind};
use crate::error::{Error, Result, bail, error};

/// A tokenizer and what its folder's files say about it.
pub(super) struct Assembled {
    pub(super) tokenizer: Tokenizer,
    pub(super) special: SpecialTokens,
    /// The id for unknown text, if the vocabulary has one.
    pub(super) unknown: Option<u32>,
    /// The largest id among the tokens of the folder's files and those around every text.
    pub(super) largest_id: u32,
    /// The padding token, if neither the vocabulary nor the folder's files have an id for it.
    pub(super) unlisted_padding: Option<String>,
    /// The side on which `tokenizer.json` cuts.
    pub(super) cuts: Option<String>,
}

/// Reads `tokenizer.json` or, if there is none, the class's own files.
pub(super) fn assemble(folder: &Folder, chosen: &Chosen) -> Result<Assembled> {
    let fast = folder.fast()?;
    if let Some(fast) = &fast {
        let place = folder.path().join("tokenizer.json");
        characters::check_all(&fast["normalizer"]).map_err(|e| e.at(place.display()))?;
    }
    let class = class_of(folder, chosen, fast.as_ref())?;
    let mut special = SpecialTokens::of(folder, class, fast.as_ref()).map_err(|e| e.at(folder.path().display()))?;
    let from_fast = fast.is_some();
    let cuts = fast.as_ref().and_then(|fast| fast["truncation"]["direction"].as_str()).map(str::to_lowercase);
    let (mut tokenizer, unknown, largest) = match (class, fast) {
        (Class::AsWritten, Some(fast)) => as_written(folder, fast)?,
        (_, Some(fast)) => {
            let own = fast["post_processor"].clone();
            let vocabulary = Vocabulary::of_fast(class, &special, fast)?;
            build(folder, class, vocabulary, own)?
        }
        (_, None) => {
            let vocabulary = Vocabulary::of_files(folder, class, &mut special)?;
            build(folder, class, vocabulary, Value::Null)?
        }
    };
    let listed = |token: &str| tokenizer.token_to_id(token).is_some() || special.numbers(token);
    let unlisted_padding = special.named("pad_token").filter(|token| !listed(token)).map(str::to_string);
    let tokens = special.to_add(class, |token| tokenizer.get_added_vocabulary().get_vocab().contains_key(token));
    tokenizer.add_tokens(tokens.into_iter().map(Into::<AddedToken>::into)).map_err(|e| unusable(folder, e))?;
    finish(folder, class, &special, from_fast, &mut tokenizer)?;
    if folder.switch("split_special_tokens", false)? {
        tokenizer.set_encode_special_tokens(true);
    }
    // A text is never cut or padded silently.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| unusable(folder, e))?;
    let declared = special.declared.values().map(|token| &token.content).chain(special.told());
    let declared = declared.filter_map(|token| tokenizer.token_to_id(token));
    let around = tokenizer.encode(("", ""), true).map_err(|e| unusable(folder, e))?;
    let largest_id = declared.chain(largest).chain(around.get_ids().iter().copied()).max().unwrap_or(0);
    Ok(Assembled { unknown, largest_id, unlisted_padding, cuts, special, tokenizer })
}

/// The class, if what the folder holds can be of it.
fn class_of(folder: &Folder, chosen: &Chosen, fast: Option<&Value>) -> Result<Class> {
    let Some(fast) = fast else {
        let missing: Vec<&str> =
            chosen.class.files().iter().copied().filter(|file| folder.file(file).is_none()).collect();
        if chosen.class == Class::AsWritten || !missing.is_empty() {
            return Err(no_tokenizer(folder, chosen, &missing));
        }
        return Ok(chosen.class);
    };
    if let Some(name) = chosen.name.as_deref().filter(|name| is_made_otherwise(name)) {
        bail!(
            File,
            "{} names the tokenizer {name}, which transformers makes in a way of its own, whatever its tokenizer.json \
             says: if the file gives the same ids, write PreTrainedTokenizerFast as the \"tokenizer_class\" of \
             tokenizer_config.json",
            folder.path().display()
        )
    }
    let Some(expected) = chosen.class.model() else { return Ok(Class::AsWritten) };
    let found = kind(&fast["model"]);
    let byte_level = !matches!(chosen.class, Class::Roberta | Class::Gpt2)
        || fast["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
    match &chosen.name {
        None if found != expected || !byte_level => Ok(Class::AsWritten),
        Some(name) if found != expected => bail!(
            File,
            "{} names the tokenizer {name}, whose model is {expected}, and its tokenizer.json holds {found}: if the \
             file is right, write PreTrainedTokenizerFast as the \"tokenizer_class\" of tokenizer_config.json",
            folder.path().display()
        ),
        _ => Ok(chosen.class),
    }
}

fn no_tokenizer(folder: &Folder, chosen: &Chosen, missing: &[&str]) -> Error {
    let advice = "in Python, AutoTokenizer.from_pretrained(...).save_pretrained(...) writes a tokenizer.json";
    let place = folder.path().display();
    match &chosen.name {
        Some(name) if missing.is_empty() => error!(
            File,
            "{place} holds the tokenizer {name}, which can be read from a tokenizer.json alone: add one, if \
             transformers has a fast tokenizer for it; {advice}"
        ),
        Some(name) => error!(
            File,
            "{place} holds no {}: the tokenizer {name} is read from {}, or from tokenizer.json; {advice}",
            missing.join(" and no "),
            chosen.class.files().join(" and ")
        ),
        None => error!(
            File,
            "{place} holds no tokenizer: expected tokenizer.json, vocab.txt, vocab.json and merges.txt, \
             sentencepiece.bpe.model, spiece.model, spm.model, or PhoBERT's vocab.txt and bpe.codes; {advice}"
        ),
    }
}

/// The tokenizer exactly as `tokenizer.json` says, without a class.
fn as_written(folder: &Folder, fast: Value) -> Result<(Tokenizer, Option<u32>, Option<u32>)> {
    let largest = Vocabulary::largest_id(&fast["model"]);
    let names = unknown_of(&fast["model"]);
    let tokenizer: Tokenizer = serde_json::from_value(fast).map_err(|e| unusable(folder, e.into()))?;
    let unknown = names.id(&tokenizer);
    Ok((tokenizer, unknown, largest))
}

/// The tokenizer of a class around a vocabulary; `own` is the last step of a `tokenizer.json`.
fn build(
    folder: &Folder,
    class: Class,
    vocabulary: Vocabulary,
    own: Value,
) -> Result<(Tokenizer, Option<u32>, Option<u32>)> {
    let largest = Vocabulary::largest_id(&vocabulary.model);
    let names = unknown_of(&vocabulary.model);
    let mut tokenizer = Tokenizer::new(part(folder, serde_json::from_value::<ModelWrapper>(vocabulary.model))?);
    if tokenizer.get_model().get_vocab_size() == 0 {
        bail!(File, "{}: the vocabulary is empty: fetch it again", folder.path().display())
    }
    let mut steps = Vec::new();
    for step in pipeline::normalizers(class, folder)? {
        match step {
            Step::Json(json) => steps.push(part(folder, serde_json::from_value::<NormalizerWrapper>(json))?),
            Step::Characters => steps.extend(vocabulary.characters.clone()),
        }
    }
    if !steps.is_empty() {
        tokenizer.with_normalizer(Some(Sequence::new(steps))).map_err(|e| unusable(folder, e))?;
    }
    let parted = serde_json::from_value::<PreTokenizerWrapper>(pipeline::pre_tokenizer(class, folder)?);
    tokenizer.with_pre_tokenizer(Some(part(folder, parted)?));
    if !own.is_null() {
        tokenizer.with_post_processor(Some(part(folder, serde_json::from_value::<PostProcessorWrapper>(own))?));
    }
    let unknown = names.id(&tokenizer);
    Ok((tokenizer, unknown, largest))
}

/// Adds the tokens around a text: the class's, those of `tokenizer.json`, or those that other files ask for.
fn finish(
    folder: &Folder,
    class: Class,
    special: &SpecialTokens,
    from_fast: bool,
    tokenizer: &mut Tokenizer,
) -> Result<()> {
    let id = |token: &str| tokenizer.token_to_id(token);
    let there = tokenizer.get_post_processor().is_some();
    let asked =
        !from_fast && ["add_bos_token", "add_eos_token"].iter().any(|switch| folder.settings.contains_key(*switch));
    let of_class = || pipeline::post_processor(class, folder, special, id);
    let last = match class {
        Class::Albert | Class::AsWritten | Class::Gpt2 if asked => pipeline::ends(folder, special, !from_fast, id)?,
        Class::Albert | Class::AsWritten | Class::Gpt2 if there => Value::Null,
        Class::AsWritten | Class::Gpt2 => pipeline::ends(folder, special, !from_fast, id)?,
        _ => of_class().map_err(|e| e.at(folder.path().display()))?,
    };
    if !last.is_null() {
        tokenizer.with_post_processor(Some(part(folder, serde_json::from_value::<PostProcessorWrapper>(last))?));
    }
    Ok(())
}

/// How a model names its token for unknown text.
enum Unknown {
    Token(String),
    Id(u32),
    None,
}

impl Unknown {
    fn id(&self, tokenizer: &Tokenizer) -> Option<u32> {
        match self {
            Unknown::Token(token) => tokenizer.get_model().token_to_id(token),
            Unknown::Id(id) => Some(*id),
            Unknown::None => None,
        }
    }
}

fn unknown_of(model: &Value) -> Unknown {
    match (&model["unk_token"], model["unk_id"].as_u64()) {
        (Value::String(token), _) => Unknown::Token(token.clone()),
        (_, Some(id)) => Unknown::Id(id as u32),
        _ => Unknown::None,
    }
}

fn part<T>(folder: &Folder, read: serde_json::Result<T>) -> Result<T> {
    read.map_err(|e| unusable(folder, e.into()))
}

fn unusable(folder: &Folder, why: tokenizers::Error) -> Error {
    let file = if folder.file("tokenizer.json").is_some() { "tokenizer.json" } else { "the vocabulary" };
    error!(File, "{}: {file} is not a tokenizer: {why}: fetch it again", folder.path().display())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_unknown_is_named_or_numbered() {
        assert!(matches!(unknown_of(&json!({ "unk_token": "<oov>" })), Unknown::Token(token) if token == "<oov>"));
        assert!(matches!(unknown_of(&json!({ "unk_id": 3 })), Unknown::Id(3)));
        assert!(matches!(unknown_of(&json!({ "unk_token": null, "unk_id": null })), Unknown::None));
    }
}
