//! The families of encoders: a file and a line each.

use super::architecture::Architecture;
use super::settings::Settings;
use crate::error::Result;

/// A family of encoders: how its configurations and weights are called, and what its encoders are made of.
#[derive(Debug)]
pub(super) struct Family {
    /// What `model_type` is in `config.json`.
    pub(super) model_types: &'static [&'static str],
    /// What the names of `transformers`' classes begin with, for a configuration without a `model_type`.
    pub(super) classes: &'static [&'static str],
    /// What the names of the encoder's weights begin with in a checkpoint, without the dot.
    pub(super) prefix: &'static str,
    /// The id of padding where the configuration tells of none.
    pub(super) padding: u32,
    /// What a configuration describes.
    pub(super) architecture: fn(Settings) -> Result<Architecture>,
}

macro_rules! define_families {
    ($($file:ident),+ $(,)?) => {
        $(mod $file;)+

        /// Every family.
        pub(super) static FAMILIES: &[&Family] = &[$(&$file::FAMILY),+];
    };
}

define_families! {
    albert,
    bert,
    deberta_v2,
    distilbert,
    electra,
    modernbert,
    mpnet,
    roberta,
}
