//! What a surrogate is fitted to: which features were present, what the model gave, and how much it counts.

use std::collections::HashMap;

use super::Surrogate;
use crate::engine::{Estimate, Moments, group_of, groups_of};
use crate::error::{Result, bail};

/// Coalitions of features, each with the model's output and a weight.
pub(crate) struct Observations<'a> {
    rows: Vec<&'a [bool]>,
    outputs: Vec<f64>,
    weights: Vec<f64>,
    features: usize,
}

impl<'a> Observations<'a> {
    /// Coalitions of one length, at least one. An error unless the weights are finite, not negative and not all 0.
    pub(crate) fn new(rows: Vec<&'a [bool]>, outputs: Vec<f64>, weights: Vec<f64>) -> Result<Self> {
        if let Some(sample) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.) {
            bail!(
                Input,
                "the similarity of sample {sample} is {}: expected a finite number that is not negative",
                weights[sample]
            )
        }
        if weights.iter().all(|weight| *weight == 0.) {
            bail!(
                Input,
                "all {} samples have the similarity 0 to the example, so that none counts: take a wider kernel",
                rows.len()
            )
        }
        let features = rows.first().map_or(0, |row| row.len());
        Ok(Self { rows, outputs, weights, features })
    }

    pub(crate) fn features(&self) -> usize {
        self.features
    }

    pub(crate) fn outputs(&self) -> &[f64] {
        &self.outputs
    }

    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// How many of them count.
    pub(crate) fn counting(&self) -> usize {
        self.weights.iter().filter(|weight| **weight > 0.).count()
    }

    pub(crate) fn rows(&self) -> &[&'a [bool]] {
        &self.rows
    }

    /// The coefficients of the surrogate, and how certain they are. The first `fixed` samples were not drawn.
    pub(crate) fn estimate(&self, fixed: usize, surrogate: &Surrogate, most: usize) -> Result<Estimate> {
        let (once, places) = self.once();
        if once.counting() < 2 {
            bail!(
                Input,
                "of {} samples only one set of features has any similarity to the example, which tells nothing of them: \
                 take a wider kernel, or more samples",
                self.rows.len()
            )
        }
        let whole = surrogate.fit(&once, most)?;
        let drawn = self.rows.len() - fixed;
        let without = |group: usize| {
            let mut weights = vec![0.; once.rows.len()];
            for (row, (place, weight)) in places.iter().zip(&self.weights).enumerate() {
                if row < fixed || group_of(row - fixed, drawn) != group {
                    weights[*place] += weight;
                }
            }
            let others = Self { rows: once.rows.clone(), outputs: once.outputs.clone(), weights, ..once };
            surrogate.fit(&others, most)
        };
        let mut fits = Moments::new(self.features);
        for group in 0..groups_of(drawn) {
            // Where a fit to fewer samples fails, the samples do not tell how certain the whole one is.
            let Some(fit) = (drawn > 1).then(|| without(group).ok()).flatten() else {
                return Ok(Estimate::uncertain(whole.coefficients, self.rows.len()));
            };
            fits.add(fit.coefficients);
        }
        Ok(Estimate::by_jackknife(whole.coefficients, &fits, self.rows.len()))
    }

    /// Each coalition once, with its output, which is the same each time, and the sum of its weights; and where each of
    /// these is among those.
    fn once(&self) -> (Self, Vec<usize>) {
        let mut known: HashMap<&[bool], usize> = HashMap::new();
        let mut once = Self { rows: Vec::new(), outputs: Vec::new(), weights: Vec::new(), features: self.features };
        let mut places = Vec::with_capacity(self.rows.len());
        for ((row, output), weight) in self.rows.iter().zip(&self.outputs).zip(&self.weights) {
            let place = *known.entry(row).or_insert(once.rows.len());
            if place == once.rows.len() {
                once.rows.push(row);
                once.outputs.push(*output);
                once.weights.push(0.);
            }
            once.weights[place] += weight;
            places.push(place);
        }
        (once, places)
    }
}

/// The mean of these numbers with these weights.
pub(crate) fn weighted_mean(numbers: impl Iterator<Item = f64>, weights: &[f64]) -> f64 {
    let sum: f64 = numbers.zip(weights).map(|(number, weight)| number * weight).sum();
    sum / weights.iter().sum::<f64>()
}

/// How often each feature is present, as a share of the weights.
pub(crate) fn shares(rows: &[&[bool]], weights: &[f64], features: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut shares = vec![0.; features];
    for (row, weight) in rows.iter().zip(weights) {
        let present = shares.iter_mut().zip(*row).filter(|(_, present)| **present);
        present.for_each(|(share, _)| *share += weight / total);
    }
    shares
}
