//! Numbers estimated from samples as a whole, and how certain they are by the jackknife.

use super::{Moments, Sampled, SamplingSettings};
use crate::error::Result;

/// In how many groups samples are left out, one after another, to see how much the estimate depends on them.
pub(crate) const GROUPS: usize = 50;

/// What the samples of one example came to.
pub(crate) struct Estimate {
    pub(crate) values: Vec<f64>,
    /// The standard error of each value; not a number where the samples do not tell.
    pub(crate) errors: Vec<f64>,
    pub(crate) samples: usize,
    /// How many independent draws the errors stand on; none if nothing was left to chance.
    pub(crate) draws: usize,
    /// Whether its errors are within the tolerance; true if none was asked for.
    pub(crate) settled: bool,
}

impl Estimate {
    /// Values that nothing was drawn for.
    pub(crate) fn certain(values: Vec<f64>, samples: usize) -> Self {
        Self { errors: vec![0.; values.len()], values, samples, draws: 0, settled: true }
    }

    /// Values with the errors that follow from those where each group of samples was left out.
    pub(crate) fn by_jackknife(values: Vec<f64>, without: &Moments, samples: usize) -> Self {
        let others = without.count() as f64 - 1.;
        let errors = without.standard_errors().into_iter().map(|error| others * error).collect();
        Self { values, errors, samples, draws: without.count(), settled: true }
    }

    /// Values whose errors are not known.
    pub(crate) fn uncertain(values: Vec<f64>, samples: usize) -> Self {
        Self { errors: vec![f64::NAN; values.len()], values, samples, draws: groups_of(samples), settled: true }
    }

    /// The same with other numbers for its values and errors.
    pub(crate) fn map(&self, numbers: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        Self { values: numbers(&self.values), errors: numbers(&self.errors), ..*self }
    }
}

impl From<&Sampled> for Estimate {
    fn from(sampled: &Sampled) -> Self {
        Self {
            values: sampled.moments.estimates().into_owned(),
            errors: sampled.moments.standard_errors(),
            samples: sampled.moments.count(),
            draws: sampled.moments.count(),
            settled: sampled.settled,
        }
    }
}

/// The group that a sample is left out with, of so many samples; groups differ by at most one sample.
pub(crate) fn group_of(sample: usize, samples: usize) -> usize {
    sample % groups_of(samples)
}

/// How many groups there are of so many samples.
pub(crate) fn groups_of(samples: usize) -> usize {
    samples.min(GROUPS)
}

impl SamplingSettings {
    /// Estimates each example from ever more samples, until there are as many as were asked for, or until its standard
    /// errors are at most the tolerance times its scale. `estimate` gives the numbers of these examples from so many
    /// samples in all, `scale` what the tolerance of an example is relative to.
    pub(crate) fn estimate_until_settled(
        &self,
        examples: usize,
        scale: impl Fn(usize, &[f64]) -> f64,
        mut estimate: impl FnMut(&[usize], usize) -> Result<Vec<Estimate>>,
    ) -> Result<Vec<Estimate>> {
        let mut done: Vec<Option<Estimate>> = (0..examples).map(|_| None).collect();
        let mut open: Vec<usize> = (0..examples).collect();
        let mut samples = self.first_count();
        while !open.is_empty() {
            let estimates = estimate(&open, samples)?;
            let last = self.tolerance.is_none() || samples == self.max_samples;
            let mut still_open = Vec::new();
            for (example, mut estimate) in open.into_iter().zip(estimates) {
                if let Some(tolerance) = self.tolerance {
                    let allowed = tolerance * scale(example, &estimate.values);
                    estimate.settled = estimate.errors.iter().all(|error| *error <= allowed);
                }
                if !estimate.settled && !last {
                    still_open.push(example);
                }
                done[example] = Some(estimate);
            }
            open = still_open;
            samples = self.count_after(samples);
        }
        Ok(done.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let samples = [1., 2., 4., 9.];
        let sum: f64 = samples.iter().sum();
        let mut without = Moments::new(1);
        samples.iter().for_each(|sample| without.add([(sum - sample) / 3.]));
        let estimate = Estimate::by_jackknife(vec![sum / 4.], &without, 4);
        assert!((estimate.errors[0] - (38f64 / 3. / 4.).sqrt()).abs() < 1e-14);
    }

    #[test]
    fn the_error_of_one_group_is_not_known() {
        let mut without = Moments::new(1);
        without.add([1.]);
        assert!(Estimate::by_jackknife(vec![1.], &without, 1).errors[0].is_nan());
    }

    #[test]
    fn groups_are_of_one_size_but_for_one() {
        let mut sizes = vec![0; groups_of(123)];
        (0..123).for_each(|sample| sizes[group_of(sample, 123)] += 1);
        assert!(sizes.iter().all(|size| [2, 3].contains(size)) && sizes.len() == GROUPS);
        assert_eq!(groups_of(7), 7);
    }
}
