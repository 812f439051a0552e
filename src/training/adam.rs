//! Adam with decoupled weight decay, in `f32` at least.

use candle_core::backprop::GradStore;
use candle_core::{DType, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};

use crate::error::Result;

/// candle's AdamW. Weights in half precision are rounded from `f32` copies, in which a
/// small step is not lost and ε is not 0.
pub(crate) struct Adam {
    adam: AdamW,
    /// The weights in half precision, and their copies.
    copies: Vec<(Var, Var)>,
}

impl Adam {
    /// β₁ 0.9, β₂ 0.999, ε 1e-8.
    pub(crate) fn new(vars: &[Var], learning_rate: f64, weight_decay: f64) -> Result<Self> {
        let settings = ParamsAdamW { lr: learning_rate, weight_decay, ..ParamsAdamW::default() };
        let mut copies = Vec::new();
        let mut stepped = Vec::with_capacity(vars.len());
        for var in vars {
            if matches!(var.dtype(), DType::F16 | DType::BF16) {
                let copy = Var::from_tensor(&var.as_detached_tensor().to_dtype(DType::F32)?)?;
                copies.push((var.clone(), copy.clone()));
                stepped.push(copy);
            } else {
                stepped.push(var.clone());
            }
        }
        Ok(Self { adam: AdamW::new(stepped, settings)?, copies })
    }

    pub(crate) fn set_learning_rate(&mut self, learning_rate: f64) {
        self.adam.set_learning_rate(learning_rate);
    }

    pub(crate) fn step(&mut self, mut gradients: GradStore) -> Result<()> {
        for (var, copy) in &self.copies {
            if let Some(gradient) = gradients.remove(var) {
                gradients.insert(copy, gradient.to_dtype(DType::F32)?);
            }
        }
        self.adam.step(&gradients)?;
        self.copies.iter().try_for_each(|(var, copy)| Ok(var.set(&copy.as_detached_tensor().to_dtype(var.dtype())?)?))
    }
}
