//! Shapley values: of every coalition, and along random orders in which features come in.

use std::ops::Range;

use super::passes::blocks;
use super::{Coalitions, Estimate, Moments, Numbers, Question, Sampled, SamplingSettings};
use crate::error::{Result, bail};

/// The most features whose coalitions are all evaluated.
const MOST_FEATURES: usize = 16;

impl Coalitions<'_> {
    /// F of each example at its baseline, where every feature is absent.
    pub(crate) fn empty(&self) -> Result<Vec<f64>> {
        let all: Vec<usize> = (0..self.whole().len()).collect();
        Ok(self.values(&all, &[vec![false; self.features()]])?.concat())
    }

    /// The Shapley value of each feature of each example, from its 2ⁿ coalitions; `bytes` bounds what is held of them.
    pub(crate) fn shapley_values(&self, bytes: usize) -> Result<Vec<Vec<f64>>> {
        let features = self.features();
        if features > MOST_FEATURES {
            let count = u32::try_from(features).ok().and_then(|features| 2u128.checked_pow(features));
            let count = count.map_or(format!("2^{features}"), |count| count.to_string());
            bail!(
                Input,
                "there are {features} features: their exact Shapley values take {count} evaluations of the model for each \
                 example, and at most {MOST_FEATURES} features are allowed, with {}; make fewer of them with feature_mask, \
                 or estimate with ShapleyValueSampling or KernelShap",
                1 << MOST_FEATURES
            )
        }
        let coalitions: Vec<Vec<bool>> =
            (0..1usize << features).map(|set| (0..features).map(|feature| set >> feature & 1 == 1).collect()).collect();
        self.plans(coalitions.len());
        let weights = weights(features);
        // As much again is left to the passes and to what is kept of them.
        let at_once = (bytes / 2 / (size_of::<f64>() << features)).max(1);
        let mut shapley = Vec::new();
        for block in blocks(self.whole().len(), at_once) {
            let examples: Vec<usize> = block.collect();
            for values in self.values(&examples, &coalitions)? {
                shapley.push((0..features).map(|feature| of_feature(&values, feature, &weights)).collect());
            }
        }
        Ok(shapley)
    }

    /// Shapley values estimated from random orders: what each feature adds when it comes in after those before it.
    /// With `antithetic`, each order is followed by its reverse, and the two count as two samples.
    pub(crate) fn shapley_sampling(&self, sampling: &SamplingSettings, antithetic: bool) -> Result<Vec<Estimate>> {
        let directions = if antithetic { 2 } else { 1 };
        let draws = sampling.in_groups_of(directions)?;
        if let Some(orders) = draws.planned() {
            self.plans(1 + orders * directions * (self.features() - 1));
        }
        let empty = self.empty()?;
        let scale = |example: usize, _: &[f64]| (self.whole()[example] - empty[example]).abs().max(1.);
        let walks = Walks { coalitions: self, sampling: &draws, directions, empty: &empty };
        let draw = |open: &[usize], samples: Range<usize>, moments: &mut [Moments]| walks.walk(open, samples, moments);
        let sampled = draws.draw_until_settled(empty.len(), self.features(), scale, draw)?;
        let counted = |sampled: &Sampled| {
            let estimate = Estimate::from(sampled);
            Estimate { samples: directions * estimate.samples, ..estimate }
        };
        Ok(sampled.iter().map(counted).collect())
    }

    /// One number for each feature of each example as attributions that add up to F(x) − F(b) over the features.
    pub(crate) fn shares(&self, values: &[Vec<f64>]) -> Result<Numbers> {
        self.adding_up(Numbers::from(self.in_shape(values)?), values)
    }

    /// Estimates for each feature of each example as attributions.
    pub(crate) fn estimates(
        &self,
        estimates: &[Estimate],
        question: &Question,
        tolerance: Option<f64>,
    ) -> Result<Numbers> {
        let spread = |(example, estimate): (usize, &Estimate)| estimate.map(|numbers| self.spread(example, numbers));
        let spread: Vec<Estimate> = estimates.iter().enumerate().map(spread).collect();
        Numbers::of_estimates(&spread, &question.attributed_inputs()?, tolerance)
    }

    /// The same of estimates that add up to F(x) − F(b) over the features.
    pub(crate) fn estimated_shares(
        &self,
        estimates: &[Estimate],
        question: &Question,
        tolerance: Option<f64>,
    ) -> Result<Numbers> {
        let values: Vec<Vec<f64>> = estimates.iter().map(|estimate| estimate.values.clone()).collect();
        self.adding_up(self.estimates(estimates, question, tolerance)?, &values)
    }

    fn adding_up(&self, numbers: Numbers, values: &[Vec<f64>]) -> Result<Numbers> {
        let sums: Vec<f64> = values.iter().map(|values| values.iter().sum()).collect();
        let differences: Vec<f64> =
            self.whole().iter().zip(self.empty()?).map(|(whole, empty)| whole - empty).collect();
        Ok(numbers.adding_up(&sums, &differences, self.baselines()))
    }
}

/// How much it counts what a feature adds to a coalition of each size: |S|! (n − |S| − 1)! / n!.
fn weights(features: usize) -> Vec<f64> {
    let mut weight = 1. / features as f64;
    let mut weights = Vec::with_capacity(features);
    for size in 0..features {
        weights.push(weight);
        weight *= (size + 1) as f64 / (features - size - 1).max(1) as f64;
    }
    weights
}

/// The Shapley value of a feature, from F of each coalition, whose bits are the features.
fn of_feature(values: &[f64], feature: usize, weights: &[f64]) -> f64 {
    let without = (0..values.len()).filter(|set| set >> feature & 1 == 0);
    let added = without.map(|set| weights[set.count_ones() as usize] * (values[set | 1 << feature] - values[set]));
    added.sum()
}

/// Features that come in one after another, in random orders.
struct Walks<'a> {
    coalitions: &'a Coalitions<'a>,
    sampling: &'a SamplingSettings,
    /// How many directions each order is taken in.
    directions: usize,
    empty: &'a [f64],
}

impl Walks<'_> {
    /// Adds what each feature adds on average over the directions of each sample's order.
    fn walk(&self, examples: &[usize], samples: Range<usize>, moments: &mut [Moments]) -> Result<()> {
        let features = self.coalitions.features();
        let steps_of_sample = self.directions * features;
        let mut shares = vec![vec![0.; features]; examples.len()];
        let mut last = vec![0.; examples.len()];
        for block in self.coalitions.blocks(samples.len() * steps_of_sample) {
            let walks = block.start / features..block.end.div_ceil(features);
            let orders: Vec<Vec<usize>> = walks.clone().map(|walk| self.order(&samples, walk)).collect();
            let place = |step: usize| (&orders[step / features - walks.start], step % features);
            let coalitions: Vec<Vec<bool>> = block.clone().map(|step| coalition(place(step), features)).collect();
            let values = self.coalitions.values(examples, &coalitions)?;
            for (row, example) in examples.iter().enumerate() {
                for (step, value) in block.clone().zip(&values[row]) {
                    let (order, comes) = place(step);
                    let before = if comes == 0 { self.empty[*example] } else { last[row] };
                    shares[row][order[comes]] += (value - before) / self.directions as f64;
                    last[row] = *value;
                    if (step + 1) % steps_of_sample == 0 {
                        moments[*example].add(std::mem::replace(&mut shares[row], vec![0.; features]));
                    }
                }
            }
        }
        Ok(())
    }

    fn order(&self, samples: &Range<usize>, walk: usize) -> Vec<usize> {
        let sample = samples.start + walk / self.directions;
        let mut order = self.sampling.seed.child(sample).permutation(self.coalitions.features());
        if walk % self.directions == 1 {
            order.reverse();
        }
        order
    }
}

/// The features up to the one that comes at this place.
fn coalition((order, place): (&Vec<usize>, usize), features: usize) -> Vec<bool> {
    let mut present = vec![false; features];
    order[..=place].iter().for_each(|feature| present[*feature] = true);
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_those_of_the_textbook() {
        assert_eq!(weights(1), [1.]);
        for (weight, expected) in weights(4).iter().zip([1. / 4., 1. / 12., 1. / 12., 1. / 4.]) {
            assert!((weight - expected).abs() < 1e-16);
        }
    }
}
