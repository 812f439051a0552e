//! How far numbers are off that a model computes in a lower precision than their type has.

use std::fmt::{Display, Formatter};

use candle_core::Tensor;

use super::examination::Evaluate;
use super::gradient::Sample;
use super::host::host;
use super::remarks::Warning;
use super::{Expansion, Question};
use crate::error::Result;

/// How far examples are off that were also taken in full precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rounding {
    /// The number that is explained.
    pub(crate) output: f64,
    /// The gradient, as a share of its largest number, if there is one.
    pub(crate) gradient: Option<f64>,
}

impl Rounding {
    /// The larger of each.
    pub(crate) fn largest(self, other: Self) -> Self {
        let gradient = [self.gradient, other.gradient].into_iter().flatten().reduce(f64::max);
        Self { output: self.output.max(other.output), gradient }
    }
}

impl Display for Rounding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { output, gradient } = self;
        write!(f, "dense products are in bf16: where also taken in f32, the number is at most {output:.1e} off")?;
        match gradient {
            Some(share) => write!(f, ", and the gradient {:.2} % of its largest number", 100. * share),
            None => Ok(()),
        }
    }
}

/// The largest difference between numbers of the first example and its exact ones, and the largest of these.
pub(super) fn apart(rounded: &[Tensor], exact: &[Tensor]) -> Result<(f64, f64)> {
    let (mut apart, mut largest) = (0f64, 0f64);
    for (rounded, exact) in rounded.iter().zip(exact) {
        for (rounded, exact) in host(rounded)?.into_iter().zip(host(exact)?) {
            apart = apart.max((rounded - exact).abs());
            largest = largest.max(exact.abs());
        }
    }
    Ok((apart, largest))
}

impl Question<'_> {
    /// Says how far the first example's number and the gradient that `evaluate` gave are from those in full precision, if
    /// passes took a lower one. The example's numbers are the first of `rounded`.
    pub(super) fn compare_precisions(&self, rounded: &Sample, evaluate: Evaluate) -> Result<()> {
        if !self.rounds() {
            return Ok(());
        }
        let first = Expansion::of_inputs(vec![0]);
        let exact = self.exactly(|question| evaluate(question, &first))?;
        let (apart, largest) = apart(&rounded.gradients, &exact.gradients)?;
        let output = (host(&rounded.scalars)?[0] - host(&exact.scalars)?[0]).abs();
        let gradient = Some(if largest == 0. { apart } else { apart / largest });
        self.warn(Warning::Rounded(Rounding { output, gradient }));
        Ok(())
    }

    /// The same of the number alone, if nothing was said yet.
    pub(super) fn compare_outputs(&self) -> Result<()> {
        let said = self.warnings().iter().any(|warning| matches!(warning, Warning::Rounded(_)));
        if said || !self.rounds() {
            return Ok(());
        }
        let first = Expansion::of_inputs(vec![0]);
        let rounded = self.values()?[0];
        let exact = self.exactly(|question| question.values_at(&question.input_points(&first)?, &first, 1))?[0];
        self.warn(Warning::Rounded(Rounding { output: (rounded - exact).abs(), gradient: None }));
        Ok(())
    }
}
