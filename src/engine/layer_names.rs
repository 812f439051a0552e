//! Which layers a method attributes to.

use crate::error::{Error, Result, bail, error};
use crate::model::Place;

/// One layer's name or several: `"embeddings"`, `["words", "positions"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerNames {
    names: Vec<String>,
    at_input: bool,
}

impl LayerNames {
    pub(crate) fn at_input(self, at_input: bool) -> Self {
        Self { at_input, ..self }
    }

    /// The error if no layer was named.
    pub(crate) fn none() -> Error {
        error!(Layer, "no layer was named: give one of the model's")
    }

    /// The places in the model; an error if there are none or one is named twice.
    pub(crate) fn places(&self) -> Result<Vec<Place>> {
        if self.names.is_empty() {
            return Err(Self::none());
        }
        for (index, name) in self.names.iter().enumerate() {
            if self.names[..index].contains(name) {
                bail!(Layer, "layer \"{name}\" was named twice: name each layer once")
            }
        }
        let place =
            |name: &String| if self.at_input { Place::Input(name.clone()) } else { Place::Output(name.clone()) };
        Ok(self.names.iter().map(place).collect())
    }

    /// The only place of a method that takes one layer.
    pub(crate) fn only(&self) -> Result<Place> {
        Ok(self.places()?.swap_remove(0))
    }
}

impl From<&str> for LayerNames {
    fn from(name: &str) -> Self {
        Self::from(vec![name.to_string()])
    }
}

impl From<String> for LayerNames {
    fn from(name: String) -> Self {
        Self::from(vec![name])
    }
}

impl From<Vec<String>> for LayerNames {
    fn from(names: Vec<String>) -> Self {
        Self { names, at_input: false }
    }
}

impl From<Vec<&str>> for LayerNames {
    fn from(names: Vec<&str>) -> Self {
        names.as_slice().into()
    }
}

impl From<&[&str]> for LayerNames {
    fn from(names: &[&str]) -> Self {
        Self::from(names.iter().map(|name| name.to_string()).collect::<Vec<_>>())
    }
}

impl<const N: usize> From<[&str; N]> for LayerNames {
    fn from(names: [&str; N]) -> Self {
        names.as_slice().into()
    }
}
