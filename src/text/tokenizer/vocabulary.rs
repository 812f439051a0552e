//! The vocabulary of a class of tokenizers, from whichever file holds it.

use serde_json::{Map, Value, json};
use tokenizers::normalizers::{NormalizerWrapper, Precompiled};

use super::added_token::Added;
use super::characters;
use super::class::Class;
use super::folder::Folder;
use super::sentencepiece::{PieceKind, SentencePiece};
use super::special_tokens::SpecialTokens;
use crate::error::{Result, bail, error};

/// A model in the form of `tokenizer.json`, and what comes with it in the same file.
pub(super) struct Vocabulary {
    pub(super) model: Value,
    /// SentencePiece's table of characters.
    pub(super) characters: Option<NormalizerWrapper>,
}

impl Vocabulary {
    /// The vocabulary of `tokenizer.json`; for a class nothing else in it counts.
    pub(super) fn of_fast(class: Class, special: &SpecialTokens, mut fast: Value) -> Result<Self> {
        let characters = precompiled(&fast["normalizer"])?;
        let mut model = fast["model"].take();
        let (vocabulary, merges) = (model["vocab"].take(), model["merges"].take());
        Ok(Self { model: model_of(class, special, vocabulary, merges)?, characters })
    }

    /// The vocabulary from the files of the class's slow tokenizer.
    pub(super) fn of_files(folder: &Folder, class: Class, special: &mut SpecialTokens) -> Result<Self> {
        let files = class.files();
        let (vocabulary, merges, characters) = match class {
            Class::Bert | Class::MpNet => (lines(&folder.text(files[0])?), Value::Null, None),
            Class::Roberta | Class::Gpt2 | Class::Herbert => {
                let place = folder.path().join(files[0]);
                let vocabulary = serde_json::from_str(&folder.text(files[0])?)
                    .map_err(|e| error!(File, "{} is not JSON: {e}: fetch it again", place.display()))?;
                let merges = merges(&folder.text(files[1])?);
                (vocabulary, merges.map_err(|e| e.at(folder.path().join(files[1]).display()))?, None)
            }
            _ => {
                let path = folder.path().join(files[0]);
                let file = SentencePiece::read(&path, &folder.bytes(files[0])?)?;
                if !file.is_unigram {
                    bail!(
                        File,
                        "{} is not a Unigram model, which this class of tokenizers is made of: add a tokenizer.json",
                        path.display()
                    )
                }
                special.extra_of_vocabulary(added_tokens(&file));
                let characters = table(&file.characters).map_err(|e| e.at(path.display()))?;
                (pieces(class, special, &file)?, Value::Null, characters)
            }
        };
        Ok(Self { model: model_of(class, special, vocabulary, merges)?, characters })
    }

    /// The largest id of the vocabulary.
    pub(super) fn largest_id(model: &Value) -> Option<u32> {
        let largest = match &model["vocab"] {
            Value::Object(ids) => ids.values().filter_map(Value::as_u64).max(),
            Value::Array(pieces) => (pieces.len() as u64).checked_sub(1),
            _ => None,
        };
        largest.map(|id| id as u32)
    }
}

/// The kind of a `tokenizer.json`'s model; early files do not name it.
pub(super) fn kind(model: &Value) -> &str {
    match model["type"].as_str() {
        Some(kind) => kind,
        None if model["merges"].is_array() => "BPE",
        None if model["vocab"].is_array() => "Unigram",
        None => "WordPiece",
    }
}

/// The model of a class with a vocabulary, and with merges where it has any.
fn model_of(class: Class, special: &SpecialTokens, vocabulary: Value, merges: Value) -> Result<Value> {
    let unigram = |unknown: usize| json!({ "type": "Unigram", "unk_id": unknown, "byte_fallback": false });
    let bpe = |unknown: Option<&str>, end_of_word: &str| {
        json!({
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": "",
            "end_of_word_suffix": end_of_word, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        })
    };
    let mut model = match class {
        Class::Bert | Class::MpNet => json!({
            "type": "WordPiece", "unk_token": special.required("unk_token")?,
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        }),
        Class::Herbert => {
            let mut model = bpe(Some(special.required("unk_token")?), "</w>");
            model["continuing_subword_prefix"] = Value::Null;
            model
        }
        Class::Albert => unigram(1),
        Class::Camembert => {
            let unknown = special.required("unk_token")?;
            let pieces = vocabulary.as_array().map(Vec::as_slice).unwrap_or_default();
            unigram(pieces.iter().position(|piece| piece[0] == unknown).unwrap_or(0))
        }
        Class::DebertaV2 => {
            let unknown = json!([special.required("unk_token")?, 0.]);
            let pieces = vocabulary.as_array().map(Vec::as_slice).unwrap_or_default();
            unigram(pieces.iter().position(|piece| *piece == unknown).unwrap_or(1))
        }
        Class::XlmRoberta => unigram(3),
        _ => bpe(None, ""),
    };
    model["vocab"] = vocabulary;
    if kind(&model) == "BPE" {
        model["merges"] = merges;
    }
    Ok(model)
}

/// The first table of characters among the normalisers.
fn precompiled(normalizer: &Value) -> Result<Option<NormalizerWrapper>> {
    let all = match normalizer["normalizers"].as_array() {
        Some(all) => all.as_slice(),
        None => std::slice::from_ref(normalizer),
    };
    let table = all.iter().find(|normalizer| normalizer["type"] == "Precompiled");
    let table = table.map(|table| serde_json::from_value(table.clone()));
    table.transpose().map_err(|e| error!(File, "the table of characters in tokenizer.json cannot be read: {e}"))
}

/// A SentencePiece model's table of characters, if it has one.
fn table(bytes: &[u8]) -> Result<Option<NormalizerWrapper>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    characters::check(bytes)?;
    let table = Precompiled::from(bytes).map_err(|e| error!(File, "its table of characters cannot be read: {e}"))?;
    Ok(Some(table.into()))
}

/// The number of each line of `vocab.txt`; a duplicate token has the last one's.
fn lines(text: &str) -> Value {
    let ids: Map<String, Value> =
        text.lines().zip(0u32..).map(|(line, id)| (line.trim_end().to_string(), id.into())).collect();
    Value::Object(ids)
}

/// The merges of a file with one merge (two symbols) per line.
fn merges(text: &str) -> Result<Value> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    let merge = |(index, line): (usize, &str)| match line.split(' ').collect::<Vec<_>>().as_slice() {
        [left, right] => Ok(json!([left, right])),
        _ => Err(error!(File, "line {} is \"{line}\": expected two symbols", index + 1)),
    };
    lines.map(merge).collect::<Result<Vec<Value>>>().map(Value::Array)
}

/// The pieces of a class with their scores; for fairseq's models other tokens come first.
fn pieces(class: Class, special: &SpecialTokens, file: &SentencePiece) -> Result<Value> {
    let named = |key: &str| special.required(key).map(|token| json!([token, 0.]));
    let own = |from: usize| file.pieces.iter().skip(from).map(|piece| json!([piece.text, piece.score]));
    let pieces = match class {
        Class::XlmRoberta => {
            let front = [named("bos_token")?, named("pad_token")?, named("eos_token")?, named("unk_token")?];
            front.into_iter().chain(own(3)).chain([named("mask_token")?]).collect()
        }
        Class::Camembert => {
            let front = [json!(["<s>NOTUSED", 0.]), named("pad_token")?, json!(["</s>NOTUSED", 0.])];
            let front = front.into_iter().chain([named("unk_token")?, json!(["<unk>NOTUSED", -100.])]);
            front.chain(own(1)).chain([named("mask_token")?]).collect()
        }
        _ => own(0).collect(),
    };
    Ok(Value::Array(pieces))
}

/// The tokens that SentencePiece keeps whole: control symbols, which are special, and its user's symbols.
fn added_tokens(file: &SentencePiece) -> Vec<Added> {
    let whole = file.pieces.iter().filter(|piece| piece.kind != PieceKind::Other);
    let added = |special: bool, text: &str| Added { special, normalized: Some(false), ..Added::special(text) };
    whole.map(|piece| added(piece.kind == PieceKind::Control, &piece.text)).collect()
}
