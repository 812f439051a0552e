//! DeepLift's rules: multipliers m with Σ m·(x − b) = f(x) − f(b) in every block.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::Tensor;

use super::pair::{Ends, in_upper_rows, upper};
use super::{captum, largest, local};
use crate::error::{Result, bail};
use crate::nn::{Call, Operation, Rule, ordinary};

/// Below this, a difference counts as none, and the gradient is taken.
const NO_DIFFERENCE: f64 = 1e-10;

/// The rescale rule for what is computed element by element, the mean of the Jacobian for all else.
pub(crate) struct Rescale {
    pairs: usize,
    captum: bool,
    asked: AtomicBool,
}

impl Rescale {
    /// The rule for a pass of `pairs` pairs, with or without Captum's own rules for softmax and the largest of a
    /// window.
    pub(crate) fn new(pairs: usize, captum: bool) -> Self {
        Self { pairs, captum, asked: AtomicBool::new(false) }
    }

    /// Whether a gradient has passed a block of any kind.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Rule for Rescale {
    fn pull_back(&self, call: &Call, gradient: &Tensor) -> Result<Option<Vec<Tensor>>> {
        self.asked.store(true, Ordering::Relaxed);
        let Call { block, inputs, output, at } = call;
        let block = &**block;
        let operation = block.operation();
        // Captum's hook on such a block runs after the one that has already read the gradient.
        let unheard = self.captum && at.follows_nonlinear;
        if matches!(operation, Operation::Affine | Operation::Reshape) || unheard {
            return Ok(None);
        }
        let first = gradient.dims().first().copied().unwrap_or(0);
        if !first.is_multiple_of(2 * self.pairs) || first == 0 {
            bail!(
                Layer,
                "a block gave {:?} for a batch of {} rows: expected the batch as its first axis",
                gradient.dims(),
                2 * self.pairs
            )
        }
        let rows = first / 2;
        let Some(output) = Ends::of(output, rows)? else { return Ok(None) };
        let gradient = upper(gradient, rows)?;
        let only = match inputs.as_slice() {
            [only] => Ends::of(only, rows)?,
            _ => None,
        };
        let plain = |input: &Ends| -> Result<Tensor> {
            Ok(ordinary(block, std::slice::from_ref(&input.x), &gradient)?.swap_remove(0))
        };
        let multipliers = match (operation, only) {
            (Operation::Elementwise | Operation::Relu, Some(input)) => {
                in_upper_rows(&ratio(&input, &output, &gradient, &plain(&input)?)?)?
            }
            (Operation::Softmax { .. }, Some(input)) if self.captum => {
                captum::softmax(&input, &output, &gradient, &plain(&input)?)?
            }
            (Operation::Max(windows), Some(input)) if self.captum => {
                captum::largest(&windows, &input, &output, &gradient, &plain(&input)?)?
            }
            (Operation::Max(windows), Some(input)) => largest::shares(&windows, &input, &gradient)?,
            (operation, _) => {
                let is_product = matches!(operation, Operation::Product);
                return local::mean_jacobian(block, inputs, &output, &gradient, is_product).map(Some);
            }
        };
        Ok(Some(vec![multipliers]))
    }
}

/// g·Δy/Δx, and the plain gradient where there is no Δx.
pub(super) fn ratio(input: &Ends, output: &Ends, gradient: &Tensor, plain: &Tensor) -> Result<Tensor> {
    divided(&(gradient * output.difference()?)?, input, plain)
}

/// A part of the output's difference for each input, divided by the input's own difference.
pub(super) fn divided(part: &Tensor, input: &Ends, plain: &Tensor) -> Result<Tensor> {
    let difference = input.difference()?;
    let none = difference.abs()?.lt(NO_DIFFERENCE)?;
    let safe = none.where_cond(&difference.ones_like()?, &difference)?;
    Ok(none.where_cond(plain, &(part / safe)?)?)
}
