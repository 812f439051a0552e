//! BERT.

use super::Family;
use crate::error::Result;
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, EmbeddingsPlan, FeedForwardPlan, HeadPlan, LayerPlan, Norms, Pooling, Positions,
    ProjectionsPlan, Relation, Stack, TokenTypes,
};
use crate::model::transformer::nonlinearity::Nonlinearity;
use crate::model::transformer::settings::Settings;
use crate::nn::Activation;

pub(super) static FAMILY: Family =
    Family { model_types: &["bert"], classes: &["Bert"], prefix: "bert", padding: 0, architecture: bert };

/// The encoder of BERT, on which other families are based.
pub(super) fn bert(settings: Settings) -> Result<Architecture> {
    let layer = layer(settings)?;
    let layers = settings.layers(&["num_hidden_layers"], 12)?;
    Ok(Architecture {
        heads: settings.count(&["num_attention_heads"], 12)?,
        norms: Norms { eps: settings.eps("layer_norm_eps", 1e-12)?, bias: true },
        embeddings: EmbeddingsPlan {
            words: "embeddings.word_embeddings",
            width: "hidden_size",
            positions: Positions::Counted,
            token_types: TokenTypes::Known,
            projection: None,
            norm: "embeddings.LayerNorm",
            blanks_padding: false,
        },
        projection: None,
        distances: None,
        window: None,
        convolution: None,
        stack: Stack::of("encoder.layer.", std::iter::repeat_n(layer, layers)),
        last_norm: None,
        head: HeadPlan {
            pooling: Pooling::First,
            dense: "bert.pooler.dense",
            dense_bias: true,
            activation: Nonlinearity::Plain(Activation::Tanh),
            norm: None,
            logits: "classifier",
        },
    })
}

/// A layer of BERT.
pub(super) fn layer(settings: Settings) -> Result<LayerPlan> {
    Ok(LayerPlan {
        attention: AttentionPlan {
            projections: ProjectionsPlan::Apart(["attention.self.query", "attention.self.key", "attention.self.value"]),
            output: "attention.output.dense",
            bias: true,
            relation: Relation::None,
            terms: 1,
            near: false,
        },
        attention_norm: Some("attention.output.LayerNorm"),
        feed_forward: FeedForwardPlan {
            inner: "intermediate.dense",
            output: "output.dense",
            bias: true,
            width: "intermediate_size",
            activation: settings.activation("hidden_act", "gelu")?,
            gated: false,
        },
        output_norm: "output.LayerNorm",
        norms_first: false,
    })
}
