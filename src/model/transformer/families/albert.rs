//! ALBERT: many passes through few layers, above embeddings that are narrower than the layers.

use super::{Family, bert};
use crate::error::{Result, bail};
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, EmbeddingsPlan, FeedForwardPlan, HeadPlan, LayerPlan, Pass, ProjectionsPlan, Stack,
};
use crate::model::transformer::settings::{MOST_LAYERS, Settings};

pub(super) static FAMILY: Family =
    Family { model_types: &["albert"], classes: &["Albert"], prefix: "albert", padding: 0, architecture: albert };

const GROUPS: &str = "encoder.albert_layer_groups.";

fn albert(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    Ok(Architecture {
        heads: settings.count(&["num_attention_heads"], 64)?,
        embeddings: EmbeddingsPlan { width: "embedding_size", ..bert.embeddings },
        projection: Some("encoder.embedding_hidden_mapping_in"),
        stack: stack(settings)?,
        head: HeadPlan { dense: "albert.pooler", ..bert.head },
        ..bert
    })
}

/// The passes through the layers, which are in groups. A pass through a group goes through each of its layers; passes
/// are spread evenly over the groups, and numbered consecutively.
fn stack(settings: Settings) -> Result<Stack> {
    let passes = settings.layers(&["num_hidden_layers"], 12)?;
    let groups = settings.layers(&["num_hidden_groups"], 1)?;
    let inner = settings.layers(&["inner_group_num"], 1)?;
    if passes * inner > MOST_LAYERS {
        bail!(
            File,
            "\"num_hidden_layers\" is {passes} and \"inner_group_num\" {inner}: expected at most {MOST_LAYERS} passes \
             through layers, their product"
        )
    }
    let of_group = |group: usize| format!("{GROUPS}{group}.albert_layers.");
    let layer = layer(settings)?;
    let weights = (0..passes).flat_map(|pass| {
        let group = (pass as f64 / (passes as f64 / groups as f64)) as usize;
        (0..inner).map(move |index| format!("{}{index}", of_group(group)))
    });
    let pass = |(index, weights)| Pass { name: format!("encoder.layer.{index}"), weights, layer: layer.clone() };
    Ok(Stack {
        passes: weights.enumerate().map(pass).collect(),
        counted: (0..groups).map(|group| (of_group(group), inner)).chain([(GROUPS.to_string(), groups)]).collect(),
    })
}

fn layer(settings: Settings) -> Result<LayerPlan> {
    let like_bert = bert::layer(settings)?;
    Ok(LayerPlan {
        attention: AttentionPlan {
            projections: ProjectionsPlan::Apart(["attention.query", "attention.key", "attention.value"]),
            output: "attention.dense",
            ..like_bert.attention
        },
        attention_norm: Some("attention.LayerNorm"),
        feed_forward: FeedForwardPlan {
            inner: "ffn",
            output: "ffn_output",
            activation: settings.activation("hidden_act", "gelu_new")?,
            ..like_bert.feed_forward
        },
        output_norm: "full_layer_layer_norm",
        ..like_bert
    })
}
