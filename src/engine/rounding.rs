//! How far numbers are off that a model computes in a lower precision than their type has.

use super::examination::Evaluate;
use super::host::host;
use super::remarks::Warning;
use super::{Expansion, Question};
use crate::error::Result;

impl Question<'_> {
    /// Says how far the first example's number and the gradient that `evaluate` gives are from those in full precision, if
    /// passes took a lower one.
    pub(super) fn compare_precisions(&self, evaluate: Evaluate) -> Result<()> {
        if !self.rounds() {
            return Ok(());
        }
        let first = Expansion::of_inputs(vec![0]);
        let rounded = evaluate(self, &first)?;
        let exact = self.exactly(|question| evaluate(question, &first))?;
        let (mut apart, mut largest) = (0f64, 0f64);
        for (rounded, exact) in rounded.gradients.iter().zip(&exact.gradients) {
            for (rounded, exact) in host(rounded)?.into_iter().zip(host(exact)?) {
                apart = apart.max((rounded - exact).abs());
                largest = largest.max(exact.abs());
            }
        }
        let output = (host(&rounded.scalars)?[0] - host(&exact.scalars)?[0]).abs();
        let gradient = Some(if apart == 0. { 0. } else { apart / largest });
        self.warn(Warning::Rounded { output, gradient });
        Ok(())
    }

    /// The same of the number alone, if nothing was said yet.
    pub(super) fn compare_outputs(&self) -> Result<()> {
        let said = self.warnings().iter().any(|warning| matches!(warning, Warning::Rounded { .. }));
        if said || !self.rounds() {
            return Ok(());
        }
        let first = Expansion::of_inputs(vec![0]);
        let rounded = self.values()?[0];
        let exact = self.exactly(|question| question.values_at(&question.input_points(&first)?, &first, 1))?[0];
        self.warn(Warning::Rounded { output: (rounded - exact).abs(), gradient: None });
        Ok(())
    }
}
