//! What passes down through a ReLU in guided backpropagation and in deconvolution.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Tensor;

use crate::error::Result;
use crate::nn::{Call, Operation, Rule};

/// Which gradients pass through a ReLU.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Passing {
    /// Positive ones, where the input is positive.
    Guided,
    /// Positive ones, whatever the input is.
    Deconvolved,
}

/// The rule for ReLUs. All other blocks have their ordinary gradient.
pub(crate) struct Rectified {
    passing: Passing,
    asked: AtomicBool,
}

impl Rectified {
    pub(crate) fn new(passing: Passing) -> Self {
        Self { passing, asked: AtomicBool::new(false) }
    }

    /// Whether there was a ReLU among the blocks that a gradient has passed.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Rule for Rectified {
    fn pull_back(&self, call: &Call, gradient: &Tensor) -> Result<Option<Vec<Tensor>>> {
        if !matches!(call.block.operation(), Operation::Relu) {
            return Ok(None);
        }
        self.asked.store(true, Ordering::Relaxed);
        let positive = gradient.relu()?;
        let passed = match self.passing {
            Passing::Guided => call.inputs[0].gt(0.)?.where_cond(&positive, &positive.zeros_like()?)?,
            Passing::Deconvolved => positive,
        };
        Ok(Some(vec![passed]))
    }
}
