//! What features and windows are worth: F without them, against F with all.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::gradient::check_finite;
use super::{Coalitions, Windows};
use crate::error::Result;

impl Coalitions<'_> {
    /// F(x) − F(x without the feature) for each feature of each example, in the shapes of what is perturbed.
    pub(crate) fn ablated(&self) -> Result<Vec<Tensor>> {
        self.plans(self.features());
        let mut differences = vec![Vec::with_capacity(self.features()); self.whole().len()];
        self.each_absence(
            self.features(),
            |feature| vec![feature],
            |example, _, _, difference| differences[example].push(difference),
        )?;
        self.delivered(&differences)
    }

    /// For each feature of each example the mean of F(x) − F(x without the window) over the windows that it is in.
    pub(crate) fn occluded(&self, windows: &Windows) -> Result<Vec<Tensor>> {
        self.plans(windows.count());
        let mut sums = vec![vec![0.; self.features()]; self.whole().len()];
        self.each_absence(
            windows.count(),
            |position| windows.elements(position),
            |example, position, absent, difference| {
                if position < windows.within(example) {
                    absent.iter().for_each(|feature| sums[example][*feature] += difference);
                }
            },
        )?;
        let mut known = BTreeMap::new();
        for (example, row) in sums.iter_mut().enumerate() {
            let within = windows.within(example);
            let coverage = known.entry(within).or_insert_with(|| self.coverage(windows, within));
            row.iter_mut().zip(coverage).for_each(|(sum, times)| *sum /= f64::from((*times).max(1)));
        }
        self.delivered(&sums)
    }

    /// How many of the first `positions` of the window each feature is in.
    fn coverage(&self, windows: &Windows, positions: usize) -> Vec<u32> {
        let mut coverage = vec![0; self.features()];
        for position in 0..positions {
            windows.elements(position).into_iter().for_each(|feature| coverage[feature] += 1);
        }
        coverage
    }

    /// Calls `take` with F(x) − F(x without some features) for each example and each of `count` lists of absent features,
    /// with the list and its number.
    fn each_absence(
        &self,
        count: usize,
        absent: impl Fn(usize) -> Vec<usize>,
        mut take: impl FnMut(usize, usize, &[usize], f64),
    ) -> Result<()> {
        let examples: Vec<usize> = (0..self.whole().len()).collect();
        for block in self.blocks(count) {
            let first = block.start;
            let lists: Vec<Vec<usize>> = block.map(&absent).collect();
            let without = |absent: &Vec<usize>| {
                let mut coalition = vec![true; self.features()];
                absent.iter().for_each(|feature| coalition[*feature] = false);
                coalition
            };
            let values = self.values(&examples, &lists.iter().map(without).collect::<Vec<_>>())?;
            for (example, values) in values.into_iter().enumerate() {
                for ((index, absent), value) in (first..).zip(&lists).zip(values) {
                    take(example, index, absent, self.whole()[example] - value);
                }
            }
        }
        Ok(())
    }

    fn delivered(&self, values: &[Vec<f64>]) -> Result<Vec<Tensor>> {
        let attributions = self.in_shape(values)?;
        check_finite(&attributions, "attribution")?;
        Ok(attributions)
    }
}
