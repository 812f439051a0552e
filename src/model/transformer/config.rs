//! What `config.json` says about a checkpoint.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Result, bail, error};
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

/// The sizes and choices of an encoder.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) architecture: Architecture,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) pad_token_id: u32,
    pub(super) layer_norm_eps: f64,
    pub(super) activation: Activation,
    /// The name of each class, empty if the configuration names none.
    pub(super) labels: Vec<String>,
    /// All of the configuration, as it was read.
    json: Arc<Value>,
}

impl Config {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            error!(File, "cannot read {}: {e}; a checkpoint is a folder with a config.json in it", path.display())
        })?;
        let json: Value =
            serde_json::from_str(&text).map_err(|e| error!(File, "{} is not JSON: {e}", path.display()))?;
        Self::from_json(&json).map_err(|e| e.at(path.display()))
    }

    pub(super) fn from_json(json: &Value) -> Result<Self> {
        let architecture = match json["model_type"].as_str() {
            Some("bert") => Architecture::Bert,
            Some("roberta" | "xlm-roberta" | "camembert" | "phobert") => Architecture::Roberta,
            Some("distilbert") => Architecture::DistilBert,
            other => bail!(
                File,
                "the model_type is {}: expected bert, roberta, xlm-roberta, camembert or distilbert",
                other.unwrap_or("missing")
            ),
        };
        let [layers, heads, activation] = match architecture {
            Architecture::DistilBert => ["n_layers", "n_heads", "activation"],
            _ => ["num_hidden_layers", "num_attention_heads", "hidden_act"],
        };
        let count = |key: &str| match json[key].as_u64() {
            Some(count) if count > 0 => Ok(count as usize),
            _ => Err(error!(File, "\"{key}\" is {}: expected a number of at least 1", json[key])),
        };
        let activation = match json[activation].as_str() {
            Some("gelu") => Activation::Gelu,
            Some("relu") => Activation::Relu,
            other => bail!(File, "the activation is {}: expected gelu or relu", other.unwrap_or("missing")),
        };
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
        let default_padding = if architecture == Architecture::Roberta { 1 } else { 0 };
        Ok(Self {
            architecture,
            layers: match count(layers)? {
                layers @ 1..=MOST_LAYERS => layers,
                other => bail!(File, "\"{layers}\" is {other}: expected at most {MOST_LAYERS}"),
            },
            heads: count(heads)?,
            pad_token_id: json["pad_token_id"].as_u64().map_or(default_padding, |id| id as u32),
            layer_norm_eps: json["layer_norm_eps"].as_f64().unwrap_or(1e-12),
            activation,
            labels: labels(&json["id2label"])?,
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

fn labels(id2label: &Value) -> Result<Vec<String>> {
    let Some(map) = id2label.as_object() else { return Ok(Vec::new()) };
    let name = |id: usize| match map.get(&id.to_string()).and_then(Value::as_str) {
        Some(name) => Ok(name.to_string()),
        None => Err(error!(File, "id2label names {} classes, and none of them is \"{id}\"", map.len())),
    };
    (0..map.len()).map(name).collect()
}
