//! What all layers of an encoder know about the distance of two tokens.

use candle_core::{Tensor, Var};

use super::architecture::DistancesPlan;
use super::biases::Biases;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::disentangled::Vectors;
use super::part::Part;
use crate::error::Result;
use crate::model::Layers;
use crate::nn::Conversion;

#[derive(Clone, Debug)]
pub(super) enum Distances {
    Biases(Biases),
    Vectors(Vectors),
}

impl Distances {
    pub(super) fn load(checkpoint: &Checkpoint, config: &Config, plan: &DistancesPlan, width: usize) -> Result<Self> {
        let architecture = &config.architecture;
        Ok(match *plan {
            DistancesPlan::Biases { table, buckets } => {
                Self::Biases(Biases::new(checkpoint.table(table, [buckets, architecture.heads])?))
            }
            DistancesPlan::Vectors { table, count, norm } => {
                let norm = norm.map(|name| checkpoint.layer_norm(name, width, architecture.norms)).transpose()?;
                Self::Vectors(Vectors::new(checkpoint.table(table, [count, width])?, norm))
            }
        })
    }

    /// Biases `[1, heads, tokens, tokens]`, or vectors `[distances, width]`.
    pub(super) fn forward(&self, tokens: usize, layers: &Layers) -> Result<Tensor> {
        match self {
            Self::Biases(biases) => biases.forward(tokens, layers),
            Self::Vectors(vectors) => vectors.forward(layers),
        }
    }
}

impl Part for Distances {
    fn weights(&self) -> Vec<(String, Var)> {
        match self {
            Self::Biases(biases) => biases.weights(),
            Self::Vectors(vectors) => vectors.weights(),
        }
    }

    fn converted(&self, by: Conversion) -> Result<Self> {
        Ok(match self {
            Self::Biases(biases) => Self::Biases(biases.converted(by)?),
            Self::Vectors(vectors) => Self::Vectors(vectors.converted(by)?),
        })
    }
}
