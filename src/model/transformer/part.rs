//! The parts of an encoder: layers that know the names of their weights in a checkpoint.

use candle_core::{Module, Tensor, Var};

use crate::error::Result;
use crate::model::Layers;
use crate::nn::{Conversion, LayerNorm, Linear, converted};

/// A part of an encoder, which holds weights of a checkpoint.
pub(super) trait Part: Sized {
    /// Every weight with its name in the checkpoint.
    fn weights(&self) -> Vec<(String, Var)>;

    /// The same with what a conversion makes of its weights.
    fn converted(&self, by: Conversion) -> Result<Self>;
}

/// Makes a struct a part: its weights are those of these fields; other fields have none.
macro_rules! made_of {
    ($part:ident: $($field:ident),+) => {
        impl $crate::model::transformer::part::Part for $part {
            fn weights(&self) -> Vec<(String, candle_core::Var)> {
                [$($crate::model::transformer::part::Part::weights(&self.$field)),+].concat()
            }

            fn converted(&self, by: $crate::nn::Conversion) -> $crate::error::Result<Self> {
                let mut part = self.clone();
                $(part.$field = $crate::model::transformer::part::Part::converted(&self.$field, by)?;)+
                Ok(part)
            }
        }
    };
}

pub(super) use made_of;

impl<P: Part> Part for Option<P> {
    fn weights(&self) -> Vec<(String, Var)> {
        self.iter().flat_map(P::weights).collect()
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        self.as_ref().map(|part| part.converted(by)).transpose()
    }
}

impl<P: Part> Part for Vec<P> {
    fn weights(&self) -> Vec<(String, Var)> {
        self.iter().flat_map(P::weights).collect()
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        self.iter().map(|part| part.converted(by)).collect()
    }
}

/// A dense layer.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    pub(super) name: String,
    pub(super) linear: Linear,
}

impl Dense {
    pub(super) fn run(&self, layers: &mut Layers, x: &Tensor) -> Result<Tensor> {
        layers.run(&self.linear, x)
    }

    /// Applies it to weights, which are not rows of a batch, so no rule applies to them.
    pub(super) fn on_weights(&self, layers: &Layers, x: &Tensor) -> Result<Tensor> {
        Ok(if layers.training() { self.linear.forward(x)? } else { self.linear.forward_frozen(x)? })
    }

    /// How many numbers it gives.
    pub(super) fn outputs(&self) -> usize {
        self.linear.weight().dims()[0]
    }
}

impl Part for Dense {
    fn weights(&self) -> Vec<(String, Var)> {
        self.linear.named_parameters(&self.name)
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(Self { name: self.name.clone(), linear: self.linear.converted(by)? })
    }
}

/// A layer norm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) name: String,
    pub(super) norm: LayerNorm,
}

impl Norm {
    pub(super) fn run(&self, layers: &mut Layers, x: &Tensor) -> Result<Tensor> {
        layers.run(&self.norm, x)
    }

    /// Applies it to weights, which are not rows of a batch, so no rule applies to them.
    pub(super) fn on_weights(&self, layers: &Layers, x: &Tensor) -> Result<Tensor> {
        Ok(if layers.training() { self.norm.forward(x)? } else { self.norm.forward_frozen(x)? })
    }
}

impl Part for Norm {
    fn weights(&self) -> Vec<(String, Var)> {
        self.norm.named_parameters(&self.name)
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(Self { name: self.name.clone(), norm: self.norm.converted(by)? })
    }
}

/// A weight from which whole rows are taken.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: Var,
}

impl Table {
    /// All of its rows; in a training step with their gradient.
    pub(super) fn all(&self, layers: &Layers) -> Tensor {
        if layers.training() { self.rows.as_tensor().clone() } else { self.rows.as_detached_tensor() }
    }

    /// The rows with these numbers.
    pub(super) fn pick(&self, layers: &Layers, numbers: Vec<u32>) -> Result<Tensor> {
        let count = numbers.len();
        Ok(self.all(layers).index_select(&Tensor::from_vec(numbers, count, self.rows.device())?, 0)?)
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> usize {
        self.rows.dims()[0]
    }
}

impl Part for Table {
    fn weights(&self) -> Vec<(String, Var)> {
        vec![(format!("{}.weight", self.name), self.rows.clone())]
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(Self { name: self.name.clone(), rows: converted(&self.rows, by)? })
    }
}
