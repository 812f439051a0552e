//! What features are worth: F with each taken from another row of the batch, against F.

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use super::gradient::check_finite;
use super::passes::blocks;
use super::perturbed::{Mixture, Perturbed};
use super::{Bits, FeatureMask, Features, Question};
use crate::error::{Result, bail};
use crate::model::Place;
use crate::seed::Seed;

/// The most rows that are gathered before they are evaluated.
const ROWS_TOGETHER: usize = 1 << 14;
/// The bytes of features that are gathered before they are evaluated.
const BYTES_TOGETHER: usize = 16 << 20;

/// From which row each row of a batch takes a feature.
#[derive(Clone)]
pub(crate) enum Rearrangement {
    /// Drawn at random, and drawn again where every row would keep its own.
    Drawn(Seed),
    /// What this function gives for a feature and the number of rows.
    Given(Arc<dyn Fn(usize, usize) -> Vec<usize> + Send + Sync>),
}

impl Default for Rearrangement {
    fn default() -> Self {
        Self::Drawn(Seed::default())
    }
}

impl fmt::Debug for Rearrangement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drawn(seed) => write!(f, "{seed:?}"),
            Self::Given(_) => f.write_str("a function"),
        }
    }
}

impl Rearrangement {
    /// The row from which each of these rows takes the feature; at least one takes it from another.
    fn of(&self, feature: usize, rows: usize) -> Result<Vec<usize>> {
        let keeps_all = |order: &[usize]| order.iter().enumerate().all(|(row, from)| row == *from);
        match self {
            Self::Drawn(seed) => {
                let seed = seed.child(feature);
                let orders = std::iter::once(seed).chain((0..).map(|attempt| seed.child(attempt)));
                let found = orders.map(|seed| seed.permutation(rows)).find(|order| !keeps_all(order));
                Ok(found.unwrap_or_default())
            }
            Self::Given(order) => {
                let order = order(feature, rows);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted.len() != rows || !keeps_all(&sorted) {
                    bail!(
                        Input,
                        "the permutation of feature {feature} is {order:?}: expected each row from 0 to {} once",
                        rows - 1
                    )
                }
                if keeps_all(&order) {
                    bail!(Input, "the permutation of feature {feature} leaves every row as it is: give another")
                }
                Ok(order)
            }
        }
    }
}

impl Question<'_> {
    /// F(x) − F(x with the feature of another row) for each feature of each example of the inputs.
    pub(crate) fn permuted(&self, mask: &FeatureMask, order: &Rearrangement) -> Result<Vec<Tensor>> {
        let features = self.features(mask)?;
        self.rearranged(&[], self.inputs().tensors(), features, order)
    }

    /// The same for the features of a layer, whose activations for the inputs are given.
    pub(crate) fn layer_permuted(
        &self,
        place: &Place,
        activation: &Tensor,
        mask: &FeatureMask,
        order: &Rearrangement,
    ) -> Result<Vec<Tensor>> {
        let activations = std::slice::from_ref(activation);
        let features = self.layer_features(mask, activations)?;
        self.rearranged(std::slice::from_ref(place), activations, features, order)
    }

    fn rearranged(
        &self,
        places: &[Place],
        points: &[Tensor],
        features: Features,
        order: &Rearrangement,
    ) -> Result<Vec<Tensor>> {
        let batch = self.batch_size();
        let repeats = self.inputs().repeats();
        if repeats.len() < 2 {
            bail!(
                Input,
                "there is one example: a permutation takes features from the other rows of a batch, at least 2"
            )
        }
        let whole = self.values()?;
        let count = features.count();
        let perturbed = Perturbed::new(self, places, points, points, features)?;
        self.plans(Some(count * batch));
        let mut differences = vec![vec![0.; count]; batch];
        let most = (ROWS_TOGETHER / batch).min(BYTES_TOGETHER / Bits::bytes(count)).max(1);
        for block in blocks(count, most) {
            let mut present = Vec::new();
            let mut moves = Vec::new();
            for feature in block {
                present.push(Bits::all_but(count, feature));
                let order = order.of(feature, repeats.len())?;
                let moved = order.into_iter().enumerate().filter(|(example, donor)| example != donor);
                let rows = moved.flat_map(|(example, donor)| repeats[example].iter().zip(&repeats[donor]));
                moves.extend(rows.map(|(example, donor)| (feature, present.len() - 1, *example, *donor)));
            }
            let mixture = |index: usize| {
                let (_, set, example, donor) = moves[index];
                Mixture { example, donor, present: &present[set] }
            };
            let values = perturbed.evaluate(moves.len(), mixture)?;
            for ((feature, _, example, _), value) in moves.iter().zip(values) {
                differences[*example][*feature] = whole[*example] - value;
            }
        }
        let attributions = perturbed.in_shape(&differences)?;
        check_finite(&attributions, "attribution")?;
        Ok(attributions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_order_moves_a_row() {
        for feature in 0..200 {
            assert_eq!(Rearrangement::Drawn(Seed(1)).of(feature, 2).unwrap(), [1, 0]);
            let mut order = Rearrangement::Drawn(Seed(2)).of(feature, 3).unwrap();
            assert_ne!(order, [0, 1, 2]);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
    }
}
