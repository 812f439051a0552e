//! RoBERTa with the norms before attention and feed-forward networks.

use super::{Family, bert, roberta};
use crate::error::Result;
use crate::model::transformer::architecture::{Architecture, LayerPlan, Stack};
use crate::model::transformer::settings::Settings;

pub(super) static FAMILY: Family = Family {
    model_types: &["roberta-prelayernorm"],
    classes: &["RobertaPreLayerNorm"],
    prefix: "roberta_prelayernorm",
    padding: roberta::PADDING,
    architecture: prelayernorm,
};

fn prelayernorm(settings: Settings) -> Result<Architecture> {
    let roberta = roberta::roberta(settings)?;
    let layer = LayerPlan {
        attention_norm: Some("attention.LayerNorm"),
        output_norm: "intermediate.LayerNorm",
        norms_first: true,
        ..bert::layer(settings)?
    };
    Ok(Architecture {
        stack: Stack::of("encoder.layer.", std::iter::repeat_n(layer, roberta.stack.passes.len())),
        last_norm: Some("LayerNorm"),
        ..roberta
    })
}
