//! What each feature is worth: F without it, against F with all.

use candle_core::Tensor;

use super::Coalitions;
use super::gradient::check_finite;
use crate::error::Result;

impl Coalitions<'_> {
    /// F(x) − F(x without the feature) for each feature of each example, in the shapes of what is perturbed.
    pub(crate) fn ablated(&self) -> Result<Vec<Tensor>> {
        let examples: Vec<usize> = (0..self.whole().len()).collect();
        let mut differences = vec![Vec::with_capacity(self.features()); examples.len()];
        for block in self.blocks(self.features()) {
            let without = |absent: usize| (0..self.features()).map(|feature| feature != absent).collect();
            let values = self.values(&examples, &block.map(without).collect::<Vec<Vec<bool>>>())?;
            for (example, values) in values.into_iter().enumerate() {
                let whole = self.whole()[example];
                differences[example].extend(values.into_iter().map(|value| whole - value));
            }
        }
        let attributions = self.in_shape(&differences)?;
        check_finite(&attributions, "attribution")?;
        Ok(attributions)
    }
}
