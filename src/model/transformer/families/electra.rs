//! ELECTRA: embeddings narrower than the layers, and a head with GELU.

use super::{Family, bert};
use crate::error::Result;
use crate::model::transformer::architecture::{Architecture, EmbeddingsPlan, HeadPlan};
use crate::model::transformer::nonlinearity::Nonlinearity;
use crate::model::transformer::settings::Settings;
use crate::nn::Activation;

pub(super) static FAMILY: Family =
    Family { model_types: &["electra"], classes: &["Electra"], prefix: "electra", padding: 0, architecture: electra };

fn electra(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    let (narrow, wide) = (settings.count(&["embedding_size"], 128)?, settings.count(&["hidden_size"], 256)?);
    Ok(Architecture {
        heads: settings.count(&["num_attention_heads"], 4)?,
        embeddings: EmbeddingsPlan { width: "embedding_size", ..bert.embeddings },
        projection: (narrow != wide).then_some("embeddings_project"),
        head: HeadPlan {
            dense: "classifier.dense",
            activation: Nonlinearity::Plain(Activation::Gelu),
            logits: "classifier.out_proj",
            ..bert.head
        },
        ..bert
    })
}
