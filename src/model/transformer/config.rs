//! What `config.json` says about a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::architecture::Architecture;
use super::families::{FAMILIES, Family};
use super::settings::Settings;
use super::weight_name::Spelling;
use crate::error::{Result, bail, error};
use crate::file::read_text;

/// An encoder's family, what it is made of, and what else its configuration says.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) family: &'static Family,
    pub(super) architecture: Architecture,
    /// The id of padding; if the configuration has none, `transformers`' default for the model.
    pub(super) pad_token_id: u32,
    /// The id of padding, if the configuration has one.
    pub(super) told_padding: Option<u32>,
    /// The name of each class, empty if the configuration names none.
    pub(super) labels: Vec<String>,
    /// All of the configuration, as it was read.
    json: Arc<Value>,
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            read_text(path).map_err(|e| error!(File, "{e}; a checkpoint is a folder with a config.json in it"))?;
        let json: Value =
            serde_json::from_str(&text).map_err(|e| error!(File, "{} is not JSON: {e}", path.display()))?;
        Self::from_json(&json).map_err(|e| e.at(path.display()))
    }

    pub(super) fn from_json(json: &Value) -> Result<Self> {
        let settings = Settings(json);
        let family = family(json)?;
        settings.only("position_embedding_type", "absolute")?;
        if let Some(key) = ["is_decoder", "add_cross_attention"].into_iter().find(|key| json[key] == true) {
            bail!(File, "\"{key}\" is true: expected an encoder, in which each token sees all others")
        }
        if !json["quantization_config"].is_null() {
            bail!(
                File,
                "there is a \"quantization_config\": quantised weights cannot be read: take the model before it"
            )
        }
        let told_padding = settings.padding()?;
        Ok(Self {
            family,
            architecture: (family.architecture)(settings)?,
            pad_token_id: told_padding.unwrap_or(family.padding),
            told_padding,
            labels: labels(settings)?,
            json: Arc::new(json.clone()),
        })
    }

    /// How the weights are spelled.
    pub(super) fn spelling(&self) -> Spelling {
        Spelling::of(self.family, self.architecture.head)
    }

    /// Whether texts are to be segmented into Vietnamese words: not a key of `transformers`, which
    /// leaves this to its users.
    pub(super) fn segments_vietnamese(&self) -> bool {
        self.json["word_segmentation"] == "vietnamese"
    }

    /// The size of this name, if the configuration has it.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        self.json[key].as_u64()
    }

    /// What the outputs were trained for, if the configuration says so.
    pub(super) fn problem_type(&self) -> Option<&str> {
        self.json["problem_type"].as_str()
    }

    /// An error if the model was saved with a head of another kind, whose weights may have the same names.
    pub(super) fn require_classifier_of_texts(&self) -> Result<()> {
        const OTHERS: [&str; 3] = ["ForTokenClassification", "ForMultipleChoice", "ForQuestionAnswering"];
        match self.json["architectures"][0].as_str() {
            Some(class) if OTHERS.iter().any(|other| class.ends_with(other)) => {
                bail!(
                    File,
                    "the model is a {class}: expected a classifier of whole texts, ...ForSequenceClassification"
                )
            }
            _ => Ok(()),
        }
    }

    /// The text of `config.json`.
    pub(super) fn to_text(&self) -> String {
        format!("{:#}\n", self.json)
    }
}

/// The family, found by the model's type, or by its class if there is no type.
fn family(json: &Value) -> Result<&'static Family> {
    let of = |named: &dyn Fn(&Family) -> bool| FAMILIES.iter().copied().find(|family| named(family));
    let class = || {
        let class = json["architectures"][0].as_str()?;
        ["For", "Model"].iter().find_map(|end| class.split_once(end)).map(|(name, _)| name)
    };
    let (family, named) = match json["model_type"].as_str() {
        Some(kind) => (of(&|family| family.model_types.contains(&kind)), kind),
        None => (class().and_then(|class| of(&|family| family.classes.contains(&class))), "missing"),
    };
    family.ok_or_else(|| {
        let mut known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        known.sort_unstable();
        let last = known.pop().unwrap_or_default();
        error!(File, "the model_type is {named}: expected {} or {last}", known.join(", "))
    })
}

/// The names of the classes: those of `id2label`, or of `label2id` if only that is there.
fn labels(settings: Settings) -> Result<Vec<String>> {
    let Some((key, value)) = settings.told(&["id2label", "label2id"]) else { return Ok(Vec::new()) };
    let names_first = key == "label2id";
    let Value::Object(map) = value else {
        let form = if names_first { "{\"name of class 0\": 0, ...}" } else { "{\"0\": \"name of class 0\", ...}" };
        bail!(File, "\"{key}\" is {value}: expected an object, {form}")
    };
    let entry = |(first, second): (&String, &Value)| match (names_first, second) {
        (true, Value::String(id)) => Ok((id.clone(), first.clone())),
        (true, id) => Ok((id.to_string(), first.clone())),
        (false, name) => Ok((first.clone(), label(first, name)?)),
    };
    let names: BTreeMap<String, String> = map.iter().map(entry).collect::<Result<_>>()?;
    let name = |id: usize| match names.get(&id.to_string()) {
        Some(name) => Ok(name.clone()),
        None => Err(error!(
            File,
            "{key} names {} classes, and none of them is \"{id}\": expected \"0\" and on, a name for each output",
            names.len()
        )),
    };
    (0..names.len()).map(name).collect()
}

/// A class's name: a text, or a number such as a count of stars.
fn label(id: &str, name: &Value) -> Result<String> {
    match name {
        Value::String(name) if !name.trim().is_empty() => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => bail!(File, "id2label gives class {id} the name {other}: expected a text"),
    }
}
