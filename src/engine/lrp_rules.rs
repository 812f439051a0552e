//! Which rule of LRP each block of a model follows.

use std::collections::BTreeMap;

use crate::error::{Result, bail};
use crate::model::{Layers, Place};

/// How relevance passes through a block, in [`LRP`](crate::attr::LRP) and [`LayerLRP`](crate::attr::LayerLRP).
///
/// R is the relevance of the output y, and the rule gives that of each input x:
///
/// | Rule | Relevance of an input |
/// |---|---|
/// | `Epsilon(ε)` | x · Jᵀ(R / (y + ε sign y)), with the block's Jacobian J, which for an affine block is its weight W |
/// | `Gamma(γ)` | the same for the weight W + γW⁺ and its own output |
/// | `Alpha1Beta0` | the same for the weight W⁺ and its own output |
/// | `ZPlus` | what the positive products of input and weight contribute, without a bias |
/// | `Identity` | R itself; for a block whose input and output have one shape |
///
/// ```
/// use candle_explain::engine::LrpRule;
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::new(&[[1f32, 2., 3.]], &Device::Cpu)?;
/// let lrp = LRP::new(&net).rule("hidden", LrpRule::Gamma(0.25)).attribute(&x, 1)?;
/// assert_eq!(lrp.tensor().dims(), [1, 3]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LrpRule {
    /// Contributions in proportion; ε, at least 0, takes relevance where the output is small.
    Epsilon(f64),
    /// Positive weights count 1 + γ times; γ is at least 0.
    Gamma(f64),
    /// Only positive weights count, as in Captum. For inputs that are at least 0.
    Alpha1Beta0,
    /// Only positive contributions count, for inputs of either sign.
    ZPlus,
    /// Relevance stays in its place; where the input is 0 it is lost.
    Identity,
}

impl LrpRule {
    fn check(self) -> Result<()> {
        match self {
            LrpRule::Epsilon(number) | LrpRule::Gamma(number) if !(number >= 0. && number.is_finite()) => {
                bail!(Input, "the rule {self:?}: expected a finite number of at least 0")
            }
            _ => Ok(()),
        }
    }
}

/// The ε that keeps a rule from dividing by 0.
pub(crate) const STABILIZER: f64 = 1e-9;

/// The rules of a model's blocks.
#[derive(Clone, Debug)]
pub(crate) struct LrpRules {
    pub(crate) default: LrpRule,
    pub(crate) of_layers: BTreeMap<String, LrpRule>,
    pub(crate) set_bias_to_zero: bool,
}

impl Default for LrpRules {
    fn default() -> Self {
        Self { default: LrpRule::Epsilon(STABILIZER), of_layers: BTreeMap::new(), set_bias_to_zero: false }
    }
}

impl LrpRules {
    pub(crate) fn check(&self) -> Result<()> {
        self.default.check()?;
        self.of_layers.iter().try_for_each(|(layer, rule)| rule.check().map_err(|e| e.at(format!("layer \"{layer}\""))))
    }

    /// An error that names the first layer with a rule that is not there, or is no block.
    pub(super) fn check_layers(&self, layers: &Layers) -> Result<()> {
        let Some(layer) = self.of_layers.keys().find(|layer| !layers.block_layers().contains(layer)) else {
            return Ok(());
        };
        if !layers.names().contains(layer) {
            return Err(layers.no_such(&Place::Output(layer.clone())).at("a rule was chosen for a layer"));
        }
        bail!(
            Layer,
            "a rule was chosen for layer \"{layer}\", which is not one block: those that are: {} (layers.apply makes a \
             layer of a block)",
            layers.block_layers().join(", ")
        )
    }

    /// The ε of what has no rule of its own.
    pub(super) fn epsilon(&self) -> f64 {
        match self.default {
            LrpRule::Epsilon(epsilon) => epsilon,
            _ => STABILIZER,
        }
    }
}
