//! MPNet: attention biases by distance, shared by all layers.

use super::{Family, bert};
use crate::error::{Result, bail};
use crate::model::transformer::architecture::{
    Architecture, AttentionPlan, DistancesPlan, EmbeddingsPlan, HeadPlan, LayerPlan, Positions, ProjectionsPlan,
    Relation, Stack, TokenTypes,
};
use crate::model::transformer::biases::BUCKETS;
use crate::model::transformer::settings::Settings;

pub(super) static FAMILY: Family =
    Family { model_types: &["mpnet"], classes: &["MPNet"], prefix: "mpnet", padding: PADDING, architecture: mpnet };

/// Positions are counted from the number after this id, whatever the configuration says about padding.
const PADDING: u32 = 1;

fn mpnet(settings: Settings) -> Result<Architecture> {
    let buckets = settings.count(&["relative_attention_num_buckets"], BUCKETS)?;
    if buckets < BUCKETS {
        bail!(
            File,
            "\"relative_attention_num_buckets\" is {buckets}: expected at least {BUCKETS}, into which distances are put \
             whatever is told"
        )
    }
    let bert = bert::bert(settings)?;
    let like_bert = bert::layer(settings)?;
    let layer = LayerPlan {
        attention: AttentionPlan {
            projections: ProjectionsPlan::Apart(["attention.attn.q", "attention.attn.k", "attention.attn.v"]),
            output: "attention.attn.o",
            relation: Relation::Biased,
            ..like_bert.attention
        },
        attention_norm: Some("attention.LayerNorm"),
        ..like_bert
    };
    Ok(Architecture {
        embeddings: EmbeddingsPlan {
            positions: Positions::Behind(PADDING),
            token_types: TokenTypes::Refused,
            ..bert.embeddings
        },
        distances: Some(DistancesPlan::Biases { table: "encoder.relative_attention_bias", buckets }),
        stack: Stack::of("encoder.layer.", std::iter::repeat_n(layer, bert.stack.passes.len())),
        head: HeadPlan { dense: "classifier.dense", logits: "classifier.out_proj", ..bert.head },
        ..bert
    })
}
