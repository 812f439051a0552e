//! One gradient for every example, at the inputs themselves.

use std::ops::Range;

use super::budget::Footprint;
use super::examination::{Attributed, Evaluate};
use super::gradient::Sample;
use super::passes::{in_measured_passes, join_blocks};
use super::{Expansion, Question};
use crate::error::Result;

impl Question<'_> {
    /// What `evaluate` gives for every example, in passes of bounded memory; its gradient is compared with the
    /// function.
    pub(crate) fn at_every_row(&self, of: Attributed, evaluate: Evaluate) -> Result<Sample> {
        let sample = self.joined(of, evaluate, |first| self.check_gradient(of, first, evaluate))?;
        self.compare_precisions(&sample, evaluate)?;
        self.check_other_targets(of, evaluate)?;
        Ok(sample)
    }

    /// The same for a backward that follows a rule: what is compared with the function is the ordinary gradient.
    pub(crate) fn at_every_row_by_rule(&self, of: Attributed, ordinary: Evaluate, ruled: Evaluate) -> Result<Sample> {
        let sample = self.joined(of, ruled, |_| Ok(()))?;
        if self.needs_check(of) {
            let first = ordinary(self, &Expansion::of_inputs(vec![0]))?;
            self.check_gradient(of, &first, ordinary)?;
        }
        self.check_other_targets(of, ordinary)?;
        Ok(sample)
    }

    /// What `evaluate` gives for every example, after `see` has seen what the first pass gave.
    fn joined(
        &self,
        of: Attributed,
        evaluate: Evaluate,
        see: impl Fn(&Sample) -> Result<()> + Send + Sync,
    ) -> Result<Sample> {
        let (mut activations, mut gradients, mut scalars) = (Vec::new(), Vec::new(), Vec::new());
        let (mut footprint, mut rounded_to) = (Footprint::default(), None);
        self.plans(Some(self.batch_size()));
        let block = |rows: Range<usize>| {
            let sample = evaluate(self, &Expansion::of_inputs(rows.collect()))?;
            let footprint = sample.footprint;
            Ok((sample, footprint))
        };
        in_measured_passes(&self.budget, self.batch_size(), block, |sample| {
            if gradients.is_empty() {
                see(&sample)?;
            }
            footprint = footprint.largest(sample.footprint);
            rounded_to.get_or_insert(sample.rounded_to);
            activations.push(sample.activations);
            gradients.push(sample.gradients);
            scalars.push(vec![sample.scalars]);
            Ok(())
        })?;
        let activations = match of {
            Attributed::Inputs => self.inputs().tensors().to_vec(),
            Attributed::Layers(_) | Attributed::Replaced(_) => join_blocks(activations)?,
        };
        let scalars = join_blocks(scalars)?.swap_remove(0);
        let rounded_to = rounded_to.unwrap_or(scalars.dtype());
        Ok(Sample { activations, gradients: join_blocks(gradients)?, scalars, rounded_to, footprint })
    }
}
