//! Lime: a surrogate fitted to F at samples around each example.

use super::surrogate::{Observations, Surrogate};
use super::{Coalitions, Estimate, Sampler, SamplingSettings, Similarity};
use crate::error::Result;

/// What Lime fits, to which samples, and how much each counts.
pub(crate) struct LocalSurrogate<'a> {
    pub(crate) sampler: &'a Sampler,
    pub(crate) similarity: &'a Similarity,
    pub(crate) surrogate: &'a Surrogate,
    /// The most rounds that the surrogate's search may take.
    pub(crate) max_iterations: usize,
}

impl LocalSurrogate<'_> {
    pub(crate) fn check(&self) -> Result<()> {
        self.sampler.check()?;
        self.similarity.check()?;
        self.surrogate.check()
    }
}

impl Coalitions<'_> {
    /// The surrogate's coefficients for each example.
    pub(crate) fn lime(&self, sampling: &SamplingSettings, how: &LocalSurrogate) -> Result<Vec<Estimate>> {
        if let Some(samples) = sampling.planned() {
            self.plans(samples);
        }
        let largest = |_: usize, values: &[f64]| values.iter().fold(1., |largest: f64, value| largest.max(value.abs()));
        sampling.estimate_until_settled(self.whole().len(), largest, |open, samples| {
            let draw = |sample: usize| how.sampler.draw(self.features(), sampling.seed.child(sample));
            let drawn = (0..samples).map(draw).collect::<Result<Vec<_>>>()?;
            let at_once = (sampling.budget.bytes / (size_of::<f64>() * samples)).max(1);
            let mut estimates = Vec::with_capacity(open.len());
            for block in open.chunks(at_once) {
                for (example, outputs) in block.iter().zip(self.values(block, &drawn)?) {
                    let products = self.products(*example)?;
                    let weights = drawn.iter().map(|present| products.similarity(present, how.similarity)).collect();
                    let observed = Observations::new(drawn.iter().map(Vec::as_slice).collect(), outputs, weights)?;
                    let estimate = observed.estimate(0, how.surrogate, how.max_iterations);
                    estimates.push(estimate.map_err(|e| e.at(format!("example {example}")))?);
                }
            }
            Ok(estimates)
        })
    }
}
