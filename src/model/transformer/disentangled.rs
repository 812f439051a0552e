//! Disentangled attention: products of tokens with their distances.

use candle_core::{D, Tensor};

use super::architecture::Disentanglement;
use super::checkpoint::Checkpoint;
use super::part::{Dense, Norm, Table, made_of};
use super::projections::Projections;
use crate::error::{Result, bail};
use crate::model::Layers;

/// A vector for each distance, shared by all layers.
#[derive(Clone, Debug)]
pub(super) struct Vectors {
    table: Table,
    norm: Option<Norm>,
}

made_of!(Vectors: table, norm);

impl Vectors {
    pub(super) fn new(table: Table, norm: Option<Norm>) -> Self {
        Self { table, norm }
    }

    /// `[distances, width]`.
    pub(super) fn forward(&self, layers: &Layers) -> Result<Tensor> {
        let vectors = self.table.all(layers);
        self.norm.as_ref().map_or(Ok(vectors.clone()), |norm| norm.on_weights(layers, &vectors))
    }
}

/// The dense layers that make queries and keys of distances, if a layer has its own.
#[derive(Clone, Debug)]
pub(super) struct Disentangled {
    plan: Disentanglement,
    keys: Option<Dense>,
    queries: Option<Dense>,
}

made_of!(Disentangled: keys, queries);

impl Disentangled {
    pub(super) fn load(checkpoint: &Checkpoint, plan: Disentanglement, layer: &str, width: usize) -> Result<Self> {
        let dense = |name: Option<&'static str>| {
            let own = name.filter(|_| !plan.shared);
            own.map(|name| checkpoint.dense(&format!("{layer}.{name}"), true, width, width)).transpose()
        };
        Ok(Self { plan, keys: dense(plan.keys)?, queries: dense(plan.queries)? })
    }

    /// What distances add to the products of queries and keys, each `[batch, heads, tokens, size]`: nothing, or
    /// `[batch, heads, tokens, tokens]`. `vectors` are those of the distances; `of_tokens` made the queries and keys.
    pub(super) fn forward(
        &self,
        [queries, keys]: [&Tensor; 2],
        vectors: &Tensor,
        of_tokens: &Projections,
        layers: &Layers,
    ) -> Result<Option<Tensor>> {
        let distances_of =
            |own: &Option<Dense>, of_tokens: &Dense| own.as_ref().unwrap_or(of_tokens).on_weights(layers, vectors);
        let Projections::Apart { queries: token_queries, keys: token_keys, .. } = of_tokens else {
            bail!(
                Layer,
                "queries and keys of one dense layer meet no distances: a fault of the crate, please report it"
            )
        };
        let mut sum = None;
        if self.plan.keys.is_some() {
            let distances = distances_of(&self.keys, token_keys)?;
            sum = Some(self.meet(queries, &distances, |query, key| self.bucket(query - key))?);
        }
        if self.plan.queries.is_some() {
            let distances = distances_of(&self.queries, token_queries)?;
            let met = self.meet(keys, &distances, |key, query| -self.bucket(key - query))?.transpose(2, 3)?;
            sum = Some(sum.map_or(Ok(met.clone()), |sum| sum + met)?);
        }
        Ok(sum)
    }

    /// The product of each token with the distance to each other one, `[batch, heads, tokens, tokens]`.
    fn meet(&self, x: &Tensor, distances: &Tensor, distance: impl Fn(i64, i64) -> i64) -> Result<Tensor> {
        let (batch, heads, tokens, size) = x.dims4()?;
        let count = distances.dim(0)?;
        let distances = distances.reshape((count, heads, size))?.permute((1, 2, 0))?.contiguous()?;
        let rows = x.transpose(0, 1)?.contiguous()?.reshape((heads, batch * tokens, size))?;
        let products = rows.matmul(&distances)?.reshape((heads, batch, tokens, count))?;
        let pairs = (0..tokens as i64).flat_map(|from| (0..tokens as i64).map(move |to| (from, to)));
        let places: Vec<u32> = pairs.map(|(from, to)| self.place(distance(from, to), count)).collect();
        let places = Tensor::from_vec(places, (1, 1, tokens, tokens), x.device())?;
        let places = places.broadcast_as((heads, batch, tokens, tokens))?.contiguous()?;
        Ok(products.gather(&places, D::Minus1)?.transpose(0, 1)?.contiguous()?)
    }

    /// The position of a distance's vector among all of them.
    fn place(&self, distance: i64, count: usize) -> u32 {
        (distance + self.plan.span as i64).clamp(0, count as i64 - 1) as u32
    }

    /// A distance, or the bucket that it shares, computed in single precision as in training.
    fn bucket(&self, distance: i64) -> i64 {
        let middle = self.plan.span as i64 / 2;
        let Some(farthest) = self.plan.farthest.filter(|_| distance.abs() > middle) else { return distance };
        let logarithm = |x: f32| f64::from(x).ln() as f32;
        let share = logarithm(distance.unsigned_abs() as f32 / middle as f32)
            / logarithm(((farthest as f64 - 1.) / middle as f64) as f32);
        ((share * (middle - 1) as f32).ceil() as i64 + middle) * distance.signum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets, the farthest distance, and where a next bucket begins above the middle, as transformers 5.23 has them.
    const STARTS: [(usize, usize, &[i64]); 4] = [
        (8, 16, &[5, 7, 10, 16, 24, 37, 57, 88, 136, 211, 328, 510]),
        (6, 13, &[4, 7, 13, 25, 49, 97, 193, 385]),
        (
            32,
            64,
            &[
                17, 18, 20, 22, 24, 26, 28, 31, 34, 37, 40, 44, 48, 53, 58, 64, 70, 76, 83, 91, 100, 110, 120, 131,
                144, 158, 173, 189, 207, 227, 249, 272, 298, 327, 358, 392, 430, 471, 516, 565, 619, 678,
            ],
        ),
        (7, 20, &[4, 8, 20, 48, 121, 303]),
    ];

    #[test]
    fn buckets_begin_where_those_of_transformers_do() {
        for (span, farthest, starts) in STARTS {
            let plan = Disentanglement { keys: None, queries: None, shared: false, span, farthest: Some(farthest) };
            let attention = Disentangled { plan, keys: None, queries: None };
            for distance in 0..700 {
                let above = starts.iter().filter(|start| **start <= distance).count() as i64;
                let expected = distance.min(span as i64 / 2) + above;
                assert_eq!(attention.bucket(distance), expected, "{distance} of {span} buckets");
                assert_eq!(attention.bucket(-distance), -expected);
            }
        }
    }
}
