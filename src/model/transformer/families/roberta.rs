//! RoBERTa, and models of the same architecture: XLM-RoBERTa, CamemBERT, PhoBERT.

use super::{Family, bert};
use crate::error::Result;
use crate::model::transformer::architecture::{Architecture, EmbeddingsPlan, HeadPlan, Positions};
use crate::model::transformer::settings::Settings;

pub(super) static FAMILY: Family = Family {
    model_types: &["roberta", "xlm-roberta", "camembert", "phobert"],
    classes: &["Roberta", "XLMRoberta", "Camembert"],
    prefix: "roberta",
    padding: PADDING,
    architecture: roberta,
};

pub(super) const PADDING: u32 = 1;

/// The encoder of RoBERTa, on which other families are based.
pub(super) fn roberta(settings: Settings) -> Result<Architecture> {
    let bert = bert::bert(settings)?;
    let padding = settings.padding()?.unwrap_or(PADDING);
    Ok(Architecture {
        embeddings: EmbeddingsPlan { positions: Positions::Behind(padding), ..bert.embeddings },
        head: HeadPlan { dense: "classifier.dense", logits: "classifier.out_proj", ..bert.head },
        ..bert
    })
}
