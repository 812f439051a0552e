//! What `config.json` says about a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::nonlinearity::Nonlinearity;
use crate::error::{Result, bail, error};
use crate::file::read_text;
use crate::nn::Activation;

/// More layers than any encoder has.
const MOST_LAYERS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Architecture {
    Bert,
    Roberta,
    DistilBert,
}

impl Architecture {
    /// What the encoder's weights are called by in a checkpoint.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Architecture::Bert => "bert",
            Architecture::Roberta => "roberta",
            Architecture::DistilBert => "distilbert",
        }
    }

    /// The names of the head's two dense layers.
    pub(super) fn head(self) -> [&'static str; 2] {
        match self {
            Architecture::Bert => ["pooler.dense", "classifier"],
            Architecture::Roberta => ["classifier.dense", "classifier.out_proj"],
            Architecture::DistilBert => ["pre_classifier", "classifier"],
        }
    }

    /// What stands between them.
    pub(super) fn head_activation(self) -> Activation {
        match self {
            Architecture::DistilBert => Activation::Relu,
            Architecture::Bert | Architecture::Roberta => Activation::Tanh,
        }
    }
}

/// What `transformers` adds to a variance where `config.json` says nothing, and in DistilBERT whatever it says.
const LAYER_NORM_EPS: f64 = 1e-12;

/// The sizes and choices of an encoder.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) architecture: Architecture,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// The id of padding, `transformers`' own for the model if the configuration tells of none.
    pub(super) pad_token_id: u32,
    /// The id of padding, if the configuration tells.
    pub(super) told_padding: Option<u32>,
    pub(super) layer_norm_eps: f64,
    pub(super) activation: Nonlinearity,
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
        let architecture = architecture(json)?;
        let default = Defaults::of(architecture);
        let activation = match told(json, &[default.activation]) {
            None => "gelu",
            Some((_, Value::String(name))) => name,
            Some((key, other)) => bail!(File, "\"{key}\" is {other}: expected the name of an activation"),
        };
        let activation = Nonlinearity::named(activation).ok_or_else(|| {
            error!(
                File,
                "the activation is {activation}: expected gelu or relu, or another form of one of them, silu, tanh, \
                 sigmoid, hardswish or linear"
            )
        })?;
        if let Some(kind) = json["position_embedding_type"].as_str()
            && kind != "absolute"
        {
            bail!(File, "the position_embedding_type is {kind}: expected absolute")
        }
        if let Some(key) = ["is_decoder", "add_cross_attention"].into_iter().find(|key| json[key] == true) {
            bail!(File, "\"{key}\" is true: expected an encoder, in which each token sees all others")
        }
        if !json["quantization_config"].is_null() {
            bail!(
                File,
                "there is a \"quantization_config\": quantised weights cannot be read: take the model before it"
            )
        }
        let told_padding = padding(json)?;
        Ok(Self {
            architecture,
            layers: match count(json, default.layers)? {
                layers @ 1..=MOST_LAYERS => layers,
                other => bail!(File, "\"{}\" is {other}: expected at most {MOST_LAYERS}", default.layers.0[0]),
            },
            heads: count(json, default.heads)?,
            pad_token_id: told_padding.unwrap_or(default.padding),
            told_padding,
            layer_norm_eps: layer_norm_eps(json, architecture)?,
            activation,
            labels: labels(json)?,
            json: Arc::new(json.clone()),
        })
    }

    /// Whether texts are to be segmented into Vietnamese words: not a key of `transformers`, which
    /// leaves this to its users.
    pub(super) fn segments_vietnamese(&self) -> bool {
        self.json["word_segmentation"] == "vietnamese"
    }

    /// The size of this name, if the configuration tells it.
    pub(super) fn size(&self, key: &str) -> Option<u64> {
        self.json[key].as_u64()
    }

    /// What the outputs were trained for, if the configuration tells.
    pub(super) fn problem_type(&self) -> Option<&str> {
        self.json["problem_type"].as_str()
    }

    /// The text of `config.json`.
    pub(super) fn to_text(&self) -> String {
        format!("{:#}\n", self.json)
    }
}

/// What `transformers` takes for what a configuration does not tell.
struct Defaults {
    layers: (&'static [&'static str], usize),
    heads: (&'static [&'static str], usize),
    activation: &'static str,
    padding: u32,
}

impl Defaults {
    fn of(architecture: Architecture) -> Self {
        match architecture {
            Architecture::DistilBert => Self {
                layers: (&["n_layers", "num_hidden_layers"], 6),
                heads: (&["n_heads", "num_attention_heads"], 12),
                activation: "activation",
                padding: 0,
            },
            Architecture::Bert | Architecture::Roberta => Self {
                layers: (&["num_hidden_layers"], 12),
                heads: (&["num_attention_heads"], 12),
                activation: "hidden_act",
                padding: u32::from(architecture == Architecture::Roberta),
            },
        }
    }
}

/// By the type of the model, or by its class where there is none.
fn architecture(json: &Value) -> Result<Architecture> {
    let of_class = |class: &str| {
        ["XLMRoberta", "Roberta", "Camembert", "DistilBert", "Bert"].into_iter().find(|kind| class.starts_with(kind))
    };
    let kind = match json["model_type"].as_str() {
        None => json["architectures"][0].as_str().and_then(of_class),
        kind => kind,
    };
    match kind {
        Some("bert" | "Bert") => Ok(Architecture::Bert),
        Some("roberta" | "xlm-roberta" | "camembert" | "phobert" | "XLMRoberta" | "Roberta" | "Camembert") => {
            Ok(Architecture::Roberta)
        }
        Some("distilbert" | "DistilBert") => Ok(Architecture::DistilBert),
        other => bail!(
            File,
            "the model_type is {}: expected bert, roberta, xlm-roberta, camembert or distilbert",
            other.unwrap_or("missing")
        ),
    }
}

/// The first of several keys that is there with a value.
fn told<'a>(json: &'a Value, keys: &[&'static str]) -> Option<(&'static str, &'a Value)> {
    keys.iter().map(|key| (*key, &json[*key])).find(|(_, value)| !value.is_null())
}

fn count(json: &Value, (keys, default): (&[&'static str], usize)) -> Result<usize> {
    match told(json, keys) {
        None => Ok(default),
        Some((key, value)) => match value.as_u64() {
            Some(count) if count > 0 => Ok(count as usize),
            _ => bail!(File, "\"{key}\" is {value}: expected a number of at least 1"),
        },
    }
}

fn padding(json: &Value) -> Result<Option<u32>> {
    match told(json, &["pad_token_id"]) {
        None => Ok(None),
        Some((_, value)) => match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(Some(id)),
            None => bail!(
                File,
                "pad_token_id is {value}: expected the id of the tokenizer's padding token, 0 or above (without the \
                 key the tokenizer's is taken)"
            ),
        },
    }
}

fn layer_norm_eps(json: &Value, architecture: Architecture) -> Result<f64> {
    match told(json, &["layer_norm_eps"]) {
        Some((key, value)) if architecture != Architecture::DistilBert => match value.as_f64() {
            Some(eps) if eps >= 0. && eps.is_finite() => Ok(eps),
            _ => bail!(File, "\"{key}\" is {value}: expected a small number above 0"),
        },
        _ => Ok(LAYER_NORM_EPS),
    }
}

/// The names of the classes: `id2label`'s, or `label2id`'s where it is alone.
fn labels(json: &Value) -> Result<Vec<String>> {
    let Some((key, value)) = told(json, &["id2label", "label2id"]) else { return Ok(Vec::new()) };
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

/// A class's name: a text, or a number that is one, as of stars.
fn label(id: &str, name: &Value) -> Result<String> {
    match name {
        Value::String(name) if !name.trim().is_empty() => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => bail!(File, "id2label gives class {id} the name {other}: expected a text"),
    }
}
