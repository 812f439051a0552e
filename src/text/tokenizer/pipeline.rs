//! What a class does to a text before and after its vocabulary, in the form of `tokenizer.json`.

use serde_json::{Map, Value, json};

use super::class::Class;
use super::folder::Folder;
use super::special_tokens::SpecialTokens;
use crate::error::{Result, error};

/// A step of how a class changes characters. `characters` is SentencePiece's table.
pub(super) enum Step {
    Json(Value),
    Characters,
}

/// The normalisers of a class.
pub(super) fn normalizers(class: Class, folder: &Folder) -> Result<Vec<Step>> {
    let json = |steps: Vec<Value>| steps.into_iter().map(Step::Json).collect::<Vec<_>>();
    Ok(match class {
        Class::Bert | Class::MpNet => json(vec![json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": folder.switch("tokenize_chinese_chars", true)?,
            "strip_accents": folder.optional_switch("strip_accents")?,
            "lowercase": folder.switch("do_lower_case", true)?,
        })]),
        Class::Herbert => json(vec![json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": false, "lowercase": false,
        })]),
        Class::Albert => {
            let quotes = ["``", "''"]
                .map(|quotes| json!({ "type": "Replace", "pattern": { "String": quotes }, "content": "\"" }));
            let mut steps = quotes.to_vec();
            if !folder.switch("keep_accents", false)? {
                steps.extend([json!({ "type": "NFKD" }), json!({ "type": "StripAccents" })]);
            }
            if folder.switch("do_lower_case", true)? {
                steps.push(json!({ "type": "Lowercase" }));
            }
            let mut steps = json(steps);
            steps.push(Step::Characters);
            steps
        }
        Class::DebertaV2 => {
            let mut steps = Vec::new();
            if folder.switch("do_lower_case", false)? {
                steps.push(json!({ "type": "Lowercase" }));
            }
            let spaces = json!({ "Regex": r"\s{2,}|[\n\r\t]" });
            steps.push(json!({ "type": "Replace", "pattern": spaces, "content": " " }));
            steps.push(json!({ "type": "NFC" }));
            steps.push(json!({ "type": "Strip", "strip_left": false, "strip_right": true }));
            json(steps)
        }
        Class::XlmRoberta | Class::Camembert => vec![Step::Characters],
        _ => Vec::new(),
    })
}

/// How a class splits a text.
pub(super) fn pre_tokenizer(class: Class, folder: &Folder) -> Result<Value> {
    Ok(match class {
        Class::Bert | Class::MpNet | Class::Herbert => json!({ "type": "BertPreTokenizer" }),
        Class::XlmRoberta | Class::Camembert | Class::Albert => {
            let scheme = if folder.switch("add_prefix_space", true)? { "always" } else { "never" };
            let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true });
            json!({ "type": "Sequence", "pretokenizers": [{ "type": "WhitespaceSplit" }, metaspace] })
        }
        Class::DebertaV2 => {
            let scheme = if folder.switch("add_prefix_space", true)? { "always" } else { "first" };
            let metaspace = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true });
            let mut steps = vec![metaspace];
            if folder.switch("split_by_punct", false)? {
                steps.insert(0, json!({ "type": "Punctuation", "behavior": "Isolated" }));
            }
            json!({ "type": "Sequence", "pretokenizers": steps })
        }
        _ => json!({
            "type": "ByteLevel", "add_prefix_space": folder.switch("add_prefix_space", false)?,
            "trim_offsets": true, "use_regex": true,
        }),
    })
}

/// The tokens that a class puts around a text and between two; null to keep those of `tokenizer.json`.
pub(super) fn post_processor(
    class: Class,
    folder: &Folder,
    special: &SpecialTokens,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Value> {
    let token = |key: &str| -> Result<(String, u32)> {
        let token = special.required(key)?;
        let id = id(token).ok_or_else(|| error!(File, "the {key} \"{token}\" is not in the vocabulary"))?;
        Ok((token.to_string(), id))
    };
    let roberta = |trim_offsets: bool, add_prefix_space: bool| -> Result<Value> {
        Ok(json!({
            "type": "RobertaProcessing", "sep": token("sep_token")?, "cls": token("cls_token")?,
            "trim_offsets": trim_offsets, "add_prefix_space": add_prefix_space,
        }))
    };
    match class {
        Class::Bert | Class::DebertaV2 => Ok(template(&token("cls_token")?, &token("sep_token")?, 1, 1)),
        Class::Albert => {
            // Named so whatever the tokens are called; a tokenizer.json's own goes before it.
            let [cls, sep] = [token("cls_token")?.1, token("sep_token")?.1];
            Ok(template(&("[CLS]".to_string(), cls), &("[SEP]".to_string(), sep), 1, 1))
        }
        Class::MpNet => roberta(true, false),
        Class::Roberta => roberta(folder.switch("trim_offsets", true)?, folder.switch("add_prefix_space", false)?),
        Class::Herbert => Ok(
            json!({ "type": "BertProcessing", "sep": [token("sep_token")?.0, 2], "cls": [token("cls_token")?.0, 0] }),
        ),
        Class::XlmRoberta | Class::Camembert => Ok(template(&token("bos_token")?, &token("eos_token")?, 2, 0)),
        _ => Ok(Value::Null),
    }
}

/// `bos` and `eos` around each text, if `tokenizer_config.json` asks for them and the class follows it.
pub(super) fn ends(
    folder: &Folder,
    special: &SpecialTokens,
    heeded: bool,
    id: impl Fn(&str) -> Option<u32>,
) -> Result<Value> {
    let end = |switch: &str, key: &str| -> Result<Option<(String, u32)>> {
        let wanted = heeded && folder.switch(switch, false)?;
        let token = special.named(key).filter(|_| wanted);
        Ok(token.and_then(|token| Some((token.to_string(), id(token)?))))
    };
    let (front, behind) = (end("add_bos_token", "bos_token")?, end("add_eos_token", "eos_token")?);
    let around = |name: &str, kind: u32| {
        let piece = |(token, _): &(String, u32)| special_piece(token, kind);
        let text = json!({ "Sequence": { "id": name, "type_id": kind } });
        front.iter().map(piece).chain([text]).chain(behind.iter().map(piece)).collect::<Vec<_>>()
    };
    let pair: Vec<Value> = around("A", 0).into_iter().chain(around("B", 1)).collect();
    let tokens: Vec<&(String, u32)> = front.iter().chain(&behind).collect();
    Ok(processing(around("A", 0), pair, &tokens))
}

/// `front A behind`, and for a pair `front A behind … B behind` with `behind` repeated `between` times in the middle;
/// the second text is of type `kind`.
fn template(front: &(String, u32), behind: &(String, u32), between: usize, kind: u32) -> Value {
    let text = |name: &str, kind: u32| json!({ "Sequence": { "id": name, "type_id": kind } });
    let single = vec![special_piece(&front.0, 0), text("A", 0), special_piece(&behind.0, 0)];
    let mut pair = vec![special_piece(&front.0, 0), text("A", 0)];
    pair.extend(std::iter::repeat_n(special_piece(&behind.0, 0), between));
    pair.extend([text("B", kind), special_piece(&behind.0, kind)]);
    processing(single, pair, &[front, behind])
}

fn special_piece(token: &str, kind: u32) -> Value {
    json!({ "SpecialToken": { "id": token, "type_id": kind } })
}

fn processing(single: Vec<Value>, pair: Vec<Value>, tokens: &[&(String, u32)]) -> Value {
    let tokens: Map<String, Value> = tokens
        .iter()
        .map(|(token, id)| (token.clone(), json!({ "id": token, "ids": [id], "tokens": [token] })))
        .collect();
    json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens })
}
