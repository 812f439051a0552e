//! The gradients of a training step.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId, Var};

use crate::error::Result;
use crate::nn::sum;

/// The gradient of each variable that has one.
#[derive(Default)]
pub(crate) struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// Those that a backward pass left.
    pub(crate) fn of_store(mut store: GradStore, vars: &[Var]) -> Self {
        let of_var = |var: &Var| Some((var.id(), store.remove(var)?.detach()));
        Self(vars.iter().filter_map(of_var).collect())
    }

    pub(crate) fn of(&self, var: &Var) -> Option<&Tensor> {
        self.0.get(&var.id())
    }

    /// Adds others to these.
    pub(crate) fn add(&mut self, others: Self) -> Result<()> {
        for (id, other) in others.0 {
            let total = match self.0.remove(&id) {
                Some(own) => sum(&own, &other)?,
                None => other,
            };
            self.0.insert(id, total);
        }
        Ok(())
    }

    /// The length of all together as one vector.
    pub(crate) fn length(&self, vars: &[Var]) -> Result<f64> {
        let mut square = 0.;
        for gradient in vars.iter().filter_map(|var| self.of(var)) {
            square += gradient.sqr()?.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        }
        Ok(square.sqrt())
    }
}
