//! The special tokens of a folder, and those added to its vocabulary.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::added_token::Added;
use super::class::Class;
use super::folder::Folder;
use crate::error::{Error, Result, error};

/// The tokens that have a name, in the order in which they are added.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The keys that list special tokens without a name, the current one and the former one.
const EXTRA: &str = "extra_special_tokens";
const ADDITIONAL: &str = "additional_special_tokens";

/// Tokens at the beginning of CamemBERT's vocabulary that no text uses.
const CAMEMBERT_UNUSED: [&str; 3] = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"];

/// The special tokens of a folder, and those that it adds to its vocabulary.
pub(super) struct SpecialTokens {
    /// The tokens that the folder or its class names, in the order in which they are added.
    named: Vec<(String, Added)>,
    /// The contents of those that the folder itself names or lists.
    told: Vec<String>,
    /// Special tokens without a name, if the settings list them.
    extra: Option<Vec<Added>>,
    /// Those that count if the settings list none.
    additional: Option<Vec<Added>>,
    /// The tokens to which the folder's files give an id.
    pub(super) declared: BTreeMap<u32, Added>,
}

impl SpecialTokens {
    /// The tokens of `tokenizer_config.json`, and the class's own where it names none. If it gives no token an id, also
    /// those of `special_tokens_map.json`, `added_tokens.json` and `tokenizer.json`.
    pub(super) fn of(folder: &Folder, class: Class, fast: Option<&Value>) -> Result<Self> {
        let mut told = folder.settings.clone();
        let mut extra = match unnamed(&told, EXTRA)? {
            Some(extra) if !extra.is_empty() => Some(extra),
            empty => unnamed(&told, ADDITIONAL)?.or(empty),
        };
        let mut additional = None;
        let mut declared = BTreeMap::new();
        if let Some(numbered) = told.get("added_tokens_decoder").and_then(Value::as_object) {
            for (id, token) in numbered {
                declared.insert(number(id)?, Added::from_json(token)?);
            }
        } else {
            for (key, value) in &folder.special_tokens {
                told.insert(key.clone(), marked_special(value));
            }
            extra = extra.map_or_else(|| unnamed(&told, EXTRA), |extra| Ok(Some(extra)))?;
            declare_legacy(folder, &told, extra.as_deref().unwrap_or_default(), &mut declared)?;
            // Read only after added_tokens.json, whose tokens it must not make special.
            additional = unnamed(&told, ADDITIONAL)?;
            for token in fast.and_then(|fast| fast["added_tokens"].as_array()).into_iter().flatten() {
                let id = token["id"].as_u64().ok_or_else(|| error!(File, "the added token {token} has no id"))?;
                declared.insert(id as u32, Added::from_json(token)?);
            }
        }
        let mut special = Self { named: Vec::new(), told: Vec::new(), extra, additional, declared };
        let unnamed = special.extra.as_ref().or(special.additional.as_ref()).into_iter().flatten();
        special.told = unnamed.map(|token| token.content.clone()).collect();
        special.name(class, &told, fast)?;
        Ok(special)
    }

    fn name(&mut self, class: Class, told: &Map<String, Value>, fast: Option<&Value>) -> Result<()> {
        let others = told.keys().filter(|key| key.ends_with("_token") && !NAMED.contains(&key.as_str()));
        let others = others.filter(|key| told[*key].is_string()).map(String::as_str);
        for key in NAMED.into_iter().chain(others) {
            let token = match told.get(key) {
                Some(Value::Null) => None,
                Some(value) => Some(Added::from_json(value).map_err(|e| e.at(key))?),
                None if class == Class::AsWritten && key == "pad_token" => padding_of(fast).map(Added::special),
                None => own(class, key).map(Added::special),
            };
            let Some(mut token) = token else { continue };
            let plain = told.get(key).is_none_or(Value::is_string);
            if let Some(numbered) = self.declared.values().rfind(|numbered| numbered.content == token.content)
                && told.contains_key(key)
            {
                token = numbered.clone();
            } else if plain && key == "mask_token" && matches!(class, Class::Camembert | Class::MpNet) {
                token.lstrip = true;
            }
            if told.contains_key(key) {
                self.told.push(token.content.clone());
            }
            self.named.push((key.to_string(), token));
        }
        Ok(())
    }

    /// Adds tokens that the vocabulary's own file calls special: they count if the settings list none.
    pub(super) fn extra_of_vocabulary(&mut self, tokens: Vec<Added>) {
        self.additional = Some(tokens);
    }

    /// The content of a named token, if there is one.
    pub(super) fn named(&self, key: &str) -> Option<&str> {
        self.named.iter().find(|(name, _)| name == key).map(|(_, token)| token.content.as_str())
    }

    /// The contents of the special tokens that the folder's files name or list.
    pub(super) fn told(&self) -> &[String] {
        &self.told
    }

    /// Whether the folder's files give a token an id.
    pub(super) fn numbers(&self, content: &str) -> bool {
        self.declared.values().any(|token| token.content == content)
    }

    /// The content of a named token; an error if it is missing.
    pub(super) fn required(&self, key: &str) -> Result<&str> {
        self.named(key).ok_or_else(|| error!(File, "\"{key}\" is null: the class of this tokenizer needs one"))
    }

    /// The contents of all special tokens, each once.
    pub(super) fn contents(&self, class: Class) -> Vec<String> {
        let mut contents: Vec<String> = Vec::new();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.unnamed(class)) {
            if !contents.contains(&token.content) {
                contents.push(token.content.clone());
            }
        }
        contents
    }

    /// Every token to be added to a vocabulary that has those of `present` already, in order.
    pub(super) fn to_add(&self, class: Class, present: impl Fn(&str) -> bool) -> Vec<Added> {
        let is_named = |token: &Added| self.named.iter().any(|(_, named)| named.content == token.content);
        let mut tokens: Vec<Added> = self.declared.values().cloned().collect();
        let numbered = tokens.len();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.unnamed(class)) {
            let known =
                present(&token.content) || tokens[..numbered].iter().any(|other| other.content == token.content);
            if !known && !tokens.contains(token) {
                tokens.push(token.clone());
            }
        }
        for token in tokens.iter_mut().filter(|token| is_named(token)) {
            token.special = true;
        }
        tokens
    }

    fn unnamed(&self, class: Class) -> Vec<Added> {
        match self.extra.as_ref().or(self.additional.as_ref()) {
            Some(tokens) => tokens.clone(),
            None if class == Class::Camembert => CAMEMBERT_UNUSED.map(Added::special).to_vec(),
            None => Vec::new(),
        }
    }
}

/// Reads `added_tokens.json`, used before `tokenizer_config.json` gave tokens their ids.
fn declare_legacy(
    folder: &Folder,
    told: &Map<String, Value>,
    extra: &[Added],
    declared: &mut BTreeMap<u32, Added>,
) -> Result<()> {
    let named = NAMED.iter().filter_map(|key| told.get(*key)).filter_map(content);
    let special: Vec<&str> = named.chain(extra.iter().map(|token| token.content.as_str())).collect();
    for (token, id) in &folder.added_tokens {
        let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) else {
            return Err(error!(
                File,
                "added_tokens.json gives \"{token}\" the number {id}: expected one of at least 0"
            ));
        };
        let is_special = special.contains(&token.as_str());
        let added = Added { special: is_special, normalized: Some(!is_special), ..Added::special(token) };
        declared.insert(id, added);
    }
    Ok(())
}

/// The special tokens without a name that are listed under a key.
fn unnamed(told: &Map<String, Value>, key: &str) -> Result<Option<Vec<Added>>> {
    match told.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(tokens)) => tokens.iter().map(Added::from_json).collect::<Result<_>>().map(Some),
        Some(Value::Object(tokens)) => tokens.values().map(Added::from_json).collect::<Result<_>>().map(Some),
        Some(other) => Err(error!(File, "\"{key}\" is {other}: expected a list of tokens")),
    }
}

/// A token of `special_tokens_map.json`, whose tokens are all special.
fn marked_special(value: &Value) -> Value {
    let mut value = value.clone();
    if value["content"].is_string() {
        value["special"] = Value::Bool(true);
    }
    value
}

fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

fn number(id: &str) -> Result<u32> {
    id.parse().map_err(|_| -> Error { error!(File, "added_tokens_decoder has a token \"{id}\": expected its number") })
}

/// The padding token of a `tokenizer.json`.
fn padding_of(fast: Option<&Value>) -> Option<&str> {
    fast.and_then(|fast| fast["padding"]["pad_token"].as_str())
}

/// A class's own default for a named token.
fn own(class: Class, key: &str) -> Option<&'static str> {
    let [bos, eos, unk, sep, pad, cls, mask] = match class {
        Class::Bert => ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
        Class::MpNet => ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"],
        Class::Roberta | Class::XlmRoberta | Class::Camembert | Class::PhoBert => {
            ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"]
        }
        Class::Gpt2 => ["<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "", "", ""],
        Class::Herbert => ["", "", "<unk>", "</s>", "<pad>", "<s>", "<mask>"],
        Class::Albert => ["[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"],
        Class::DebertaV2 => ["[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
        Class::AsWritten => return None,
    };
    let index = NAMED.iter().position(|name| *name == key)?;
    Some([bos, eos, unk, sep, pad, cls, mask][index]).filter(|token| !token.is_empty())
}
