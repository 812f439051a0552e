//! How many samples a method draws, and how certain its means are.

use std::ops::Range;

use candle_core::Tensor;

use super::path_settings::check_tolerance;
use super::{Budget, Moments};
use crate::error::{Result, bail};
use crate::progress::Progress;
use crate::seed::Seed;

/// With a tolerance, fewer samples than this do not tell how far they spread.
const FEWEST_TO_JUDGE: usize = 32;
/// With a tolerance, the errors are looked at when so many samples are there, or all that are allowed: those of fewer are
/// often small by luck alone.
const FIRST_LOOK: usize = 64;

/// The settings that every sampled method shares; set them through the method's own builder.
#[derive(Clone, Debug)]
pub(crate) struct SamplingSettings {
    pub(crate) n_samples: usize,
    pub(crate) tolerance: Option<f64>,
    pub(crate) max_samples: usize,
    pub(crate) seed: Seed,
    pub(crate) budget: Budget,
}

impl SamplingSettings {
    /// The settings with this many samples.
    pub(crate) fn of(n_samples: usize) -> Self {
        Self { n_samples, tolerance: None, max_samples: 100_000, seed: Seed::default(), budget: Budget::default() }
    }

    /// Draws this many samples, whatever the errors.
    pub(crate) fn fix_samples(&mut self, n_samples: usize) {
        self.n_samples = n_samples;
        self.tolerance = None;
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.n_samples == 0 {
            bail!(Input, "n_samples is 0: expected at least 1")
        }
        if self.tolerance.is_some() && self.max_samples < FEWEST_TO_JUDGE {
            bail!(
                Input,
                "max_samples is {}: with a tolerance at least {FEWEST_TO_JUDGE} samples tell how far they spread",
                self.max_samples
            )
        }
        self.budget.check()?;
        check_tolerance(self.tolerance)
    }

    /// How many examples are sampled together, if each has so many numbers.
    pub(crate) fn examples_at_once(&self, width: usize) -> usize {
        self.budget.moments_at_once(width)
    }

    /// The same settings for draws of which each counts as `size` samples.
    pub(crate) fn in_groups_of(&self, size: usize) -> Result<Self> {
        self.check()?;
        let max_samples = self.max_samples / size;
        if self.tolerance.is_some() && max_samples < FEWEST_TO_JUDGE {
            bail!(
                Input,
                "max_samples is {}: with a tolerance at least {} samples, {size} of each draw, tell how far they spread",
                self.max_samples,
                size * FEWEST_TO_JUDGE
            )
        }
        Ok(Self { n_samples: self.n_samples.div_ceil(size), max_samples, ..self.clone() })
    }

    /// How many samples are drawn, unless a tolerance decides it.
    pub(super) fn planned(&self) -> Option<usize> {
        self.tolerance.is_none().then_some(self.n_samples)
    }

    /// How many samples are drawn before the errors are looked at.
    pub(super) fn first_count(&self) -> usize {
        match self.tolerance {
            None => self.n_samples,
            Some(_) => self.n_samples.max(FIRST_LOOK).min(self.max_samples),
        }
    }

    /// How many samples there are after the next draw, if there are so many now.
    pub(super) fn count_after(&self, done: usize) -> usize {
        (done + done / 2).min(self.max_samples)
    }

    /// Draws samples of `width` numbers for each example, until there are as many as were asked for, or until every
    /// example's standard errors are at most the tolerance times its scale.
    ///
    /// `draw` adds the samples of this range to the moments of these examples, in the order of the samples. The draws
    /// depend on the seed and on the sample's number alone, not on the example: what an example gets does not depend
    /// on its batch. `scale` gives what the tolerance of an example is relative to, from the means so far.
    pub(crate) fn draw_until_settled(
        &self,
        examples: usize,
        width: usize,
        scale: impl FnMut(usize, &[f64]) -> f64,
        draw: impl FnMut(&[usize], Range<usize>, &mut [Moments]) -> Result<()>,
    ) -> Result<Vec<Sampled>> {
        self.draw_more_until_settled(vec![Moments::new(width); examples], scale, draw)
    }

    /// The same with these moments, without samples yet, of the examples.
    pub(crate) fn draw_more_until_settled(
        &self,
        mut moments: Vec<Moments>,
        mut scale: impl FnMut(usize, &[f64]) -> f64,
        mut draw: impl FnMut(&[usize], Range<usize>, &mut [Moments]) -> Result<()>,
    ) -> Result<Vec<Sampled>> {
        let examples = moments.len();
        let mut settled = vec![true; examples];
        let mut open: Vec<usize> = (0..examples).collect();
        let mut done = 0;
        let mut next = self.first_count();
        // As far as can be told before the first look.
        let mut needed = if self.tolerance.is_some() { 2. * next as f64 } else { next as f64 };
        let progress = Progress::part();
        loop {
            progress.reach(done as f64 / needed, (next - done) as f64 / needed)?;
            draw(&open, done..next, &mut moments)?;
            done = next;
            let Some(tolerance) = self.tolerance else { break };
            let mut furthest = 1f64;
            open.retain(|example| {
                let of_example = &moments[*example];
                let allowed = tolerance * scale(*example, &of_example.estimates());
                let errors = of_example.standard_errors();
                settled[*example] = errors.iter().all(|error| *error <= allowed);
                furthest = errors.iter().fold(furthest, |furthest, error| furthest.max(error / allowed));
                !settled[*example]
            });
            if open.is_empty() || done == self.max_samples {
                break;
            }
            next = self.count_after(done);
            // Errors fall with the root of the number of samples.
            needed = (done as f64 * furthest * furthest).clamp(next as f64, self.max_samples as f64);
        }
        let sampled = moments.into_iter().zip(settled);
        Ok(sampled.map(|(moments, settled)| Sampled { moments, settled }).collect())
    }
}

/// The samples of one example.
pub(crate) struct Sampled {
    pub(crate) moments: Moments,
    /// Whether its errors are within the tolerance; true if none was asked for.
    pub(crate) settled: bool,
}

/// How certain sampled attributions are.
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    /// The standard error of each attribution, of the attributions' shapes.
    pub(crate) errors: Vec<Tensor>,
    /// How many samples each example took.
    pub(crate) samples: Vec<usize>,
    /// How many independent draws each example's errors stand on.
    pub(crate) draws: Vec<usize>,
    pub(crate) tolerance: Option<f64>,
    pub(crate) settled: Vec<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(settings: &SamplingSettings, spread: &[f64]) -> Vec<Sampled> {
        let draw = |open: &[usize], samples: Range<usize>, moments: &mut [Moments]| {
            for sample in samples {
                let value = settings.seed.child(sample).uniform(-1., 1.).next().unwrap();
                open.iter().for_each(|example| moments[*example].add([3. + spread[*example] * value]));
            }
            Ok(())
        };
        settings.draw_until_settled(spread.len(), 1, |_, _| 1., draw).unwrap()
    }

    #[test]
    fn as_many_samples_are_drawn_as_were_asked_for() {
        let sampled = drawn(&SamplingSettings::of(7), &[1., 0.]);
        assert!(sampled.iter().all(|sampled| sampled.settled && sampled.moments.count() == 7));
    }

    #[test]
    fn each_example_is_drawn_until_its_error_is_within_the_tolerance() {
        let settings = SamplingSettings { tolerance: Some(0.01), max_samples: 20_000, ..SamplingSettings::of(5) };
        let sampled = drawn(&settings, &[0., 0.2, 1., 100.]);
        let counts: Vec<usize> = sampled.iter().map(|sampled| sampled.moments.count()).collect();
        assert_eq!((counts[0], counts[3]), (FIRST_LOOK, 20_000));
        assert!(counts[0] < counts[1] && counts[1] < counts[2] && counts[2] < counts[3], "{counts:?}");
        assert_eq!(sampled.iter().map(|sampled| sampled.settled).collect::<Vec<_>>(), [true, true, true, false]);
        for sampled in &sampled[..3] {
            assert!(sampled.moments.standard_errors()[0] <= 0.01);
            assert!((sampled.moments.means()[0] - 3.).abs() < 0.04);
        }
    }
}
