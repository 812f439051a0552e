//! Biases of attention: a number for each head and each bucket of distances.

use candle_core::Tensor;

use super::part::{Table, made_of};
use crate::error::Result;
use crate::model::Layers;

/// How many buckets there are for distances, half of them for either side.
pub(super) const BUCKETS: usize = 32;
/// From here on all distances are in one bucket.
const FARTHEST: f64 = 128.;

#[derive(Clone, Debug)]
pub(super) struct Biases {
    table: Table,
}

made_of!(Biases: table);

impl Biases {
    pub(super) fn new(table: Table) -> Self {
        Self { table }
    }

    /// `[1, heads, tokens, tokens]`, to be added to the logits.
    pub(super) fn forward(&self, tokens: usize, layers: &Layers) -> Result<Tensor> {
        let pairs = (0..tokens).flat_map(|query| (0..tokens).map(move |key| bucket(query, key)));
        let biases = self.table.pick(layers, pairs.collect())?.reshape((1, tokens, tokens, ()))?;
        Ok(biases.permute((0, 3, 1, 2))?.contiguous()?)
    }
}

/// The bucket of a query's and a key's places. Near distances have one each; farther ones share buckets by their
/// logarithm, in single precision as in training.
fn bucket(query: usize, key: usize) -> u32 {
    let half = BUCKETS / 2;
    let exact = half / 2;
    let distance = query.abs_diff(key);
    let side = if key > query { half } else { 0 };
    let within = if distance < exact {
        distance
    } else {
        let logarithm = (distance as f64 / exact as f64).ln() as f32;
        let share = logarithm / (FARTHEST / exact as f64).ln() as f32;
        (exact + (share * (half - exact) as f32) as usize).min(half - 1)
    };
    (side + within) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distances at which a next bucket begins, as transformers 5.23 has them.
    const STARTS: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];

    #[test]
    fn buckets_begin_where_those_of_transformers_do() {
        for distance in 0..600 {
            let expected = STARTS.iter().filter(|start| **start <= distance).count() as u32 - 1;
            assert_eq!(bucket(700, 700 - distance), expected, "{distance} before");
            if distance > 0 {
                assert_eq!(bucket(0, distance), 16 + expected, "{distance} behind");
            }
        }
    }
}
