//! Which features are present in a sample of Lime.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use crate::error::{Result, bail};
use crate::seed::Seed;

/// Which features are present in each sample of [`Lime`](crate::attr::Lime).
#[derive(Clone)]
pub enum Sampler {
    /// Each feature with this probability, above 0 and below 1.
    Bernoulli(f64),
    /// What a closure says; see [`Sampler::custom`].
    Custom(Draw),
}

type Draw = Arc<dyn Fn(usize, Seed) -> Vec<bool> + Send + Sync>;

impl Sampler {
    /// The features that a closure draws, given how many there are and the seed of the sample, which is far from
    /// those of the others: for each whether it is present.
    ///
    /// ```
    /// use candle_explain::engine::Sampler;
    ///
    /// // All but one.
    /// let sampler = Sampler::custom(|features, seed| {
    ///     (0..features).map(|feature| feature != seed.0 as usize % features).collect()
    /// });
    /// # let _ = sampler;
    /// ```
    pub fn custom(draw: impl Fn(usize, Seed) -> Vec<bool> + Send + Sync + 'static) -> Self {
        Sampler::Custom(Arc::new(draw))
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Sampler::Bernoulli(probability) if !(*probability > 0. && *probability < 1.) => {
                bail!(
                    Input,
                    "a feature is present with the probability {probability}: expected a number between 0 and 1"
                )
            }
            _ => Ok(()),
        }
    }

    /// Which of so many features are present in the sample of this seed.
    pub(crate) fn draw(&self, features: usize, seed: Seed) -> Result<Vec<bool>> {
        match self {
            Sampler::Bernoulli(probability) => Ok(seed.chances(*probability).take(features).collect()),
            Sampler::Custom(draw) => {
                let present = draw(features, seed.scattered());
                if present.len() != features {
                    bail!(
                        Input,
                        "the sampler gave {} features: expected {features}, for each whether it is present",
                        present.len()
                    )
                }
                Ok(present)
            }
        }
    }
}

impl Default for Sampler {
    /// Captum's: each feature with probability 0.5.
    fn default() -> Self {
        Sampler::Bernoulli(0.5)
    }
}

impl Debug for Sampler {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Sampler::Bernoulli(probability) => f.debug_tuple("Bernoulli").field(probability).finish(),
            Sampler::Custom(_) => f.write_str("Custom"),
        }
    }
}
