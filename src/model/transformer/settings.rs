//! The keys of a `config.json`, each read with the default of `transformers`.

use serde_json::Value;

use super::nonlinearity::Nonlinearity;
use crate::error::{Result, bail, error};

/// An upper limit: more layers than any encoder has.
pub(super) const MOST_LAYERS: usize = 1000;
/// An upper limit for all other sizes.
const MOST: usize = 1 << 24;

/// What a `config.json` says. A key whose value is null counts as missing.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a>(pub(super) &'a Value);

impl<'a> Settings<'a> {
    /// The first of several keys that is there, with its value.
    pub(super) fn told(self, keys: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        keys.iter().map(|key| (*key, &self.0[*key])).find(|(_, value)| !value.is_null())
    }

    fn value(self, key: &'static str) -> Option<&'a Value> {
        self.told(&[key]).map(|(_, value)| value)
    }

    /// A number of at least 1 under the first of several keys that is there.
    pub(super) fn count(self, keys: &[&'static str], default: usize) -> Result<usize> {
        self.at_most(MOST, keys, default)
    }

    /// How many layers there are.
    pub(super) fn layers(self, keys: &[&'static str], default: usize) -> Result<usize> {
        self.at_most(MOST_LAYERS, keys, default)
    }

    fn at_most(self, most: usize, keys: &[&'static str], default: usize) -> Result<usize> {
        match self.told(keys) {
            None => Ok(default),
            Some((key, value)) => match value.as_u64() {
                Some(count) if count > most as u64 => bail!(File, "\"{key}\" is {value}: expected at most {most}"),
                Some(count) if count > 0 => Ok(count as usize),
                _ => bail!(File, "\"{key}\" is {value}: expected a number of at least 1"),
            },
        }
    }

    /// A number of at least 1; `None` if the key is missing or its value is 0 or less.
    pub(super) fn count_if_any(self, key: &'static str) -> Result<Option<usize>> {
        match self.value(key).map(|value| (value, value.as_i64())) {
            None | Some((_, Some(..=0))) => Ok(None),
            Some((_, Some(_))) => self.count(&[key], 0).map(Some),
            Some((value, None)) => bail!(File, "\"{key}\" is {value}: expected a whole number"),
        }
    }

    /// A number above 0.
    pub(super) fn positive(self, key: &'static str, default: f64) -> Result<f64> {
        match self.value(key) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) if number > 0. && number.is_finite() => Ok(number),
                _ => bail!(File, "\"{key}\" is {value}: expected a number above 0"),
            },
        }
    }

    /// What is added to a variance.
    pub(super) fn eps(self, key: &'static str, default: f64) -> Result<f64> {
        match self.value(key) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(eps) if eps >= 0. && eps.is_finite() => Ok(eps),
                _ => bail!(File, "\"{key}\" is {value}: expected a small number above 0"),
            },
        }
    }

    pub(super) fn switch(self, key: &'static str, default: bool) -> Result<bool> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::Bool(on)) => Ok(*on),
            Some(other) => bail!(File, "\"{key}\" is {other}: expected true or false"),
        }
    }

    pub(super) fn text(self, key: &'static str, default: &'static str) -> Result<&'a str> {
        match self.value(key) {
            None => Ok(default),
            Some(Value::String(text)) => Ok(text),
            Some(other) => bail!(File, "\"{key}\" is {other}: expected a text"),
        }
    }

    /// A list of texts, if the key is there.
    pub(super) fn texts(self, key: &'static str) -> Result<Option<Vec<&'a str>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts.map(Some).ok_or_else(|| error!(File, "\"{key}\" is {value}: expected a list of texts"))
    }

    /// The nonlinearity of this name.
    pub(super) fn activation(self, key: &'static str, default: &'static str) -> Result<Nonlinearity> {
        let name = match self.value(key) {
            None => default,
            Some(Value::String(name)) => name,
            Some(other) => bail!(File, "\"{key}\" is {other}: expected the name of an activation"),
        };
        Nonlinearity::named(name).ok_or_else(|| {
            error!(
                File,
                "the activation is {name} (\"{key}\"): expected gelu or relu, or another form of one of them, silu, \
                 tanh, sigmoid, hardswish or linear"
            )
        })
    }

    /// The id of the token that fills up shorter texts.
    pub(super) fn padding(self) -> Result<Option<u32>> {
        match self.value("pad_token_id") {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
                Some(id) => Ok(Some(id)),
                None => bail!(
                    File,
                    "pad_token_id is {value}: expected the id of the tokenizer's padding token, 0 or above (without the \
                     key the tokenizer's is taken)"
                ),
            },
        }
    }

    /// An error if the key is there with anything but `usual`, which is computed in any case.
    pub(super) fn only(self, key: &'static str, usual: &str) -> Result<()> {
        match self.value(key) {
            Some(value) if value.as_str() != Some(usual) => bail!(File, "the {key} is {value}: expected {usual}"),
            _ => Ok(()),
        }
    }
}
