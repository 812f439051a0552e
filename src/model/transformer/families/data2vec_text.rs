//! Data2VecText: RoBERTa's encoder and head under another name.

use super::{Family, roberta};

pub(super) static FAMILY: Family = Family {
    model_types: &["data2vec-text"],
    classes: &["Data2VecText"],
    prefix: "data2vec_text",
    padding: roberta::PADDING,
    architecture: roberta::roberta,
};
