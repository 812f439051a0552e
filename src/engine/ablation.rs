//! What features and windows are worth: F without them, against F with all.

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
            |example, _, difference| differences[example].push(difference),
        )?;
        self.delivered(&differences)
    }

    /// For each element of each example the mean of F(x) − F(x without the window) over the windows that it is in. Every
    /// element must be a feature of its own.
    pub(crate) fn occluded(&self, windows: &Windows) -> Result<Vec<Tensor>> {
        self.plans(windows.count());
        let mut sums = vec![vec![0.; self.features()]; self.whole().len()];
        let mut coverage = vec![0u32; self.features()];
        self.each_absence(
            windows.count(),
            |position| windows.elements(position),
            |example, absent, difference| {
                for element in absent {
                    sums[example][*element] += difference;
                    coverage[*element] += u32::from(example == 0);
                }
            },
        )?;
        for row in &mut sums {
            row.iter_mut().zip(&coverage).for_each(|(sum, times)| *sum /= f64::from(*times));
        }
        self.delivered(&sums)
    }

    /// Calls `take` with F(x) − F(x without some features) for each of `count` lists of absent features and each
    /// example.
    fn each_absence(
        &self,
        count: usize,
        absent: impl Fn(usize) -> Vec<usize>,
        mut take: impl FnMut(usize, &[usize], f64),
    ) -> Result<()> {
        let examples: Vec<usize> = (0..self.whole().len()).collect();
        for block in self.blocks(count) {
            let lists: Vec<Vec<usize>> = block.map(&absent).collect();
            let without = |absent: &Vec<usize>| {
                let mut coalition = vec![true; self.features()];
                absent.iter().for_each(|feature| coalition[*feature] = false);
                coalition
            };
            let values = self.values(&examples, &lists.iter().map(without).collect::<Vec<_>>())?;
            for (example, values) in values.into_iter().enumerate() {
                for (absent, value) in lists.iter().zip(values) {
                    take(example, absent, self.whole()[example] - value);
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
