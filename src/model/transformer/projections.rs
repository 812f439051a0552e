//! The dense layers that give queries, keys and values.

use candle_core::{D, Tensor, Var};

use super::architecture::ProjectionsPlan;
use super::checkpoint::Checkpoint;
use super::part::{Dense, Part};
use crate::error::Result;
use crate::model::Layers;
use crate::nn::{Conversion, Linear};

#[derive(Clone, Debug)]
pub(super) enum Projections {
    Apart { queries: Dense, keys: Dense, values: Dense },
    Joined(Dense),
}

impl Projections {
    pub(super) fn load(
        checkpoint: &Checkpoint,
        plan: ProjectionsPlan,
        bias: bool,
        layer: &str,
        width: usize,
    ) -> Result<Self> {
        let dense = |name: &str, outputs| checkpoint.dense(&format!("{layer}.{name}"), bias, width, outputs);
        Ok(match plan {
            ProjectionsPlan::Apart([queries, keys, values]) => Self::Apart {
                queries: dense(queries, width)?,
                keys: dense(keys, width)?,
                values: dense(values, width)?,
            },
            ProjectionsPlan::Joined(name) => Self::Joined(dense(name, 3 * width)?),
        })
    }

    /// The layers, whose outputs side by side are queries, keys and values.
    pub(super) fn linears(&self) -> Vec<Linear> {
        match self {
            Self::Apart { queries, keys, values } => [queries, keys, values].map(|dense| dense.linear.clone()).into(),
            Self::Joined(all) => vec![all.linear.clone()],
        }
    }

    /// Queries, keys and values of `[batch, tokens, width]`, each of that shape.
    pub(super) fn forward(&self, x: &Tensor, layers: &mut Layers) -> Result<[Tensor; 3]> {
        match self {
            Self::Apart { queries, keys, values } => {
                Ok([queries.run(layers, x)?, keys.run(layers, x)?, values.run(layers, x)?])
            }
            Self::Joined(all) => {
                let (all, width) = (all.run(layers, x)?, x.dim(D::Minus1)?);
                let part = |index: usize| all.narrow(D::Minus1, index * width, width);
                Ok([part(0)?, part(1)?, part(2)?])
            }
        }
    }
}

impl Part for Projections {
    fn weights(&self) -> Vec<(String, Var)> {
        match self {
            Self::Apart { queries, keys, values } => {
                [queries, keys, values].into_iter().flat_map(Part::weights).collect()
            }
            Self::Joined(all) => all.weights(),
        }
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(match self {
            Self::Apart { queries, keys, values } => Self::Apart {
                queries: queries.converted(by)?,
                keys: keys.converted(by)?,
                values: values.converted(by)?,
            },
            Self::Joined(all) => Self::Joined(all.converted(by)?),
        })
    }
}
