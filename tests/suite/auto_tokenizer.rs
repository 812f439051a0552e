//! Folders of tokenizers as `transformers` reads them, over three thousand odd texts.

use std::path::{Path, PathBuf};

use candle_explain::prelude::*;
use serde_json::Value;

/// How many texts a hash is of.
const GROUP: usize = 10;
/// Stands behind the ids of a text.
const END: u32 = u32::MAX;

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/auto").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(here(name)).unwrap()).unwrap()
}

fn texts() -> Vec<String> {
    let texts = json("texts.json");
    texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

/// Every folder with what is expected of it; PhoBERT's own where the vocabulary is at hand.
fn folders() -> Vec<(String, Tokenizer, Value)> {
    let Value::Object(expected) = json("expected.json") else { panic!("expected.json is not an object") };
    let folder = |name: &str| match name {
        "phobert" => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/phobert"),
        _ => here(name),
    };
    let there = expected.into_iter().filter(|(name, _)| folder(name).exists());
    there.map(|(name, expected)| (name.clone(), Tokenizer::from_pretrained(folder(&name)).unwrap(), expected)).collect()
}

/// FNV-1a over the bytes of numbers, the lowest first.
fn hash(numbers: impl IntoIterator<Item = u32>) -> String {
    let fold = |value: u64, byte: u8| (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let value = numbers.into_iter().flat_map(u32::to_le_bytes).fold(0xcbf2_9ce4_8422_2325, fold);
    format!("{value:016x}")
}

#[test]
fn ids_are_those_of_transformers() {
    let (texts, folders) = (texts(), folders());
    assert!(texts.len() == 3000 && folders.len() >= 15, "{} folders", folders.len());
    for (name, tokenizer, expected) in &folders {
        let hashes = expected["ids"].as_array().unwrap();
        assert_eq!(hashes.len(), texts.len() / GROUP);
        let differ = texts.chunks(GROUP).zip(hashes).filter(|(group, expected)| {
            let ids = group.iter().flat_map(|text| {
                let ids = tokenizer.ids(text).unwrap();
                assert_eq!(tokenizer.encode(text).unwrap().ids(), ids, "{name}: {text:?}");
                ids.into_iter().chain([END])
            });
            hash(ids) != **expected
        });
        let differ: Vec<&[String]> = differ.map(|(group, _)| group).collect();
        assert!(differ.is_empty(), "{name}: {} of {} groups, first {:?}", differ.len(), hashes.len(), differ[0]);
    }
}

#[test]
fn pairs_and_their_types_are_those_of_transformers() {
    let texts = texts();
    for (name, tokenizer, expected) in folders() {
        let numbers = texts.chunks(GROUP).flat_map(|group| {
            let pair = tokenizer.encode_pair(&group[0], &group[1]).unwrap();
            let types = pair.tokens.iter().map(|token| token.type_id).collect::<Vec<_>>();
            pair.ids().into_iter().chain([END]).chain(types).chain([END])
        });
        assert_eq!(hash(numbers), expected["pairs"], "{name}");
    }
}

#[test]
fn padding_is_the_tokenizers() {
    for (name, tokenizer, expected) in folders() {
        assert_eq!(tokenizer.pad_token_id().map(u64::from), expected["padding"].as_u64(), "{name}");
        assert_eq!(tokenizer.vocabulary_size() as u64, expected["size"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn texts_that_are_too_long_are_cut_as_in_transformers() {
    let texts = texts();
    let mut cut = 0;
    for (name, tokenizer, expected) in folders() {
        let most = tokenizer.max_tokens().unwrap_or(usize::MAX);
        let numbers = texts.chunks(GROUP).flat_map(|group| {
            let pair = tokenizer.encode_pair(&group[3], &group[4]).unwrap();
            [tokenizer.encode(&group[2]).unwrap(), pair]
                .into_iter()
                .flat_map(|text| {
                    let text = tokenizer.cut(text, most).unwrap();
                    cut += text.cut;
                    text.ids().into_iter().chain([END]).collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
        });
        assert_eq!(hash(numbers), expected["cut"], "{name}");
    }
    assert!(cut > 1000, "{cut} tokens");
}
