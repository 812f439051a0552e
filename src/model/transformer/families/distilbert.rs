//! DistilBERT.

use super::{Family, bert};
use crate::error::Result;
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, EmbeddingsPlan, FeedForwardPlan, HeadPlan, LayerPlan, Norms, ProjectionsPlan, Stack,
    TokenTypes,
};
use crate::model::transformer::nonlinearity::Nonlinearity;
use crate::model::transformer::settings::Settings;
use crate::nn::Activation;

pub(super) static FAMILY: Family = Family {
    model_types: &["distilbert"],
    classes: &["DistilBert"],
    prefix: "distilbert",
    padding: 0,
    architecture: distilbert,
};

fn distilbert(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    let like_bert = bert::layer(settings)?;
    let layer = LayerPlan {
        attention: AttentionPlan {
            projections: ProjectionsPlan::Apart(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
            output: "attention.out_lin",
            ..like_bert.attention
        },
        attention_norm: Some("sa_layer_norm"),
        feed_forward: FeedForwardPlan {
            inner: "ffn.lin1",
            output: "ffn.lin2",
            width: "hidden_dim",
            activation: settings.activation("activation", "gelu")?,
            ..like_bert.feed_forward
        },
        output_norm: "output_layer_norm",
        ..like_bert
    };
    let layers = settings.layers(&["n_layers", "num_hidden_layers"], 6)?;
    Ok(Architecture {
        heads: settings.count(&["n_heads", "num_attention_heads"], 12)?,
        // transformers reads no key for this.
        norms: Norms { eps: 1e-12, bias: true },
        embeddings: EmbeddingsPlan { width: "dim", token_types: TokenTypes::Refused, ..bert.embeddings },
        stack: Stack::of("transformer.layer.", std::iter::repeat_n(layer, layers)),
        head: HeadPlan { dense: "pre_classifier", activation: Nonlinearity::Plain(Activation::Relu), ..bert.head },
        ..bert
    })
}
