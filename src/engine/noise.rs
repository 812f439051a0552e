//! Normal noise on inputs.

use candle_core::{Device, Tensor};

use crate::error::{Result, bail};
use crate::model::Inputs;
use crate::seed::Seed;

/// How far noise spreads: one standard deviation for all inputs (`0.1`), or one for each (`[0.1, 0.5]`).
#[derive(Clone, Debug, PartialEq)]
pub enum Stdevs {
    /// The same for every input.
    All(f64),
    /// One for each input.
    PerInput(Vec<f64>),
}

impl From<f64> for Stdevs {
    fn from(stdev: f64) -> Self {
        Stdevs::All(stdev)
    }
}

impl From<Vec<f64>> for Stdevs {
    fn from(stdevs: Vec<f64>) -> Self {
        Stdevs::PerInput(stdevs)
    }
}

impl<const N: usize> From<[f64; N]> for Stdevs {
    fn from(stdevs: [f64; N]) -> Self {
        Stdevs::PerInput(stdevs.to_vec())
    }
}

impl Stdevs {
    /// The noise, checked against the inputs.
    pub(crate) fn resolve(&self, inputs: &Inputs) -> Result<Noise> {
        let tensors = inputs.tensors();
        let stdevs = match self {
            Stdevs::All(stdev) => vec![*stdev; tensors.len()],
            Stdevs::PerInput(stdevs) => stdevs.clone(),
        };
        if stdevs.len() != tensors.len() {
            bail!(
                Input,
                "there are {} standard deviations for {} inputs: give one for each, or one for all",
                stdevs.len(),
                tensors.len()
            )
        }
        for (index, (stdev, input)) in stdevs.iter().zip(tensors).enumerate() {
            if !(stdev.is_finite() && *stdev >= 0.) {
                bail!(Input, "the standard deviation of input {index} is {stdev}: expected 0, or a number above it")
            }
            if *stdev > 0. && !input.dtype().is_float() {
                bail!(
                    Input,
                    "input {index} is {:?}, to which no noise can be added: set its standard deviation to 0",
                    input.dtype()
                )
            }
        }
        Ok(Noise { stdevs })
    }
}

/// Normal noise of a standard deviation for each input.
pub(crate) struct Noise {
    stdevs: Vec<f64>,
}

impl Noise {
    /// Whether nothing is added.
    pub(crate) fn is_none(&self) -> bool {
        self.stdevs.iter().all(|stdev| *stdev == 0.)
    }

    /// Rows of each input with the noise of each row's seed; rows of the same seed get the same noise.
    pub(crate) fn added_to(&self, rows: Vec<Tensor>, seeds: &[Seed]) -> Result<Vec<Tensor>> {
        let added = rows.into_iter().zip(&self.stdevs).enumerate().map(|(input, (rows, stdev))| {
            if *stdev == 0. {
                return Ok(rows);
            }
            let width = rows.elem_count() / seeds.len();
            let mut noise: Vec<f64> = Vec::with_capacity(rows.elem_count());
            for (row, seed) in seeds.iter().enumerate() {
                match row > 0 && seeds[row - 1] == *seed {
                    true => noise.extend_from_within(noise.len() - width..),
                    false => noise.extend(seed.child(input).normal(*stdev).take(width)),
                }
            }
            let noise = Tensor::from_vec(noise, rows.dims(), &Device::Cpu)?.to_dtype(rows.dtype())?;
            Ok((&rows + noise.to_device(rows.device())?)?)
        });
        added.collect()
    }
}
