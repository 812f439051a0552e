//! How long a text may be, and at which end it is cut.

use serde_json::Value;

use super::folder::Folder;
use crate::error::{Result, bail};

/// Above this, `transformers` takes a length as no limit.
const NO_LIMIT: f64 = 1e20;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// The most tokens of a text, special ones included.
    pub(super) tokens: Option<usize>,
    pub(super) cuts_beginnings: bool,
}

impl Limits {
    /// The limits from `tokenizer_config.json`, with the side on which `tokenizer.json` cuts.
    pub(super) fn of(folder: &Folder, cuts: Option<&str>) -> Result<Self> {
        let place = || folder.path().join("tokenizer_config.json").display().to_string();
        let of = |key: &str| folder.settings.get(key).filter(|value| !value.is_null());
        let tokens = match of("model_max_length").or(of("max_len")) {
            None => None,
            Some(length) => match length.as_f64() {
                Some(length) if length > NO_LIMIT => None,
                Some(length) if length >= 1. && length.fract() == 0. => Some(length as usize),
                _ => bail!(File, "{}: \"model_max_length\" is {length}: expected a number of at least 1", place()),
            },
        };
        let cuts_beginnings = match of("truncation_side").map_or(cuts, Value::as_str) {
            None if of("truncation_side").is_none() => false,
            Some("right") => false,
            Some("left") => true,
            other => bail!(
                File,
                "{}: \"truncation_side\" is {}: expected \"right\" or \"left\"",
                place(),
                other.unwrap_or("not a string")
            ),
        };
        Ok(Self { tokens, cuts_beginnings })
    }
}
