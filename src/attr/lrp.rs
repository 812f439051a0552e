//! Layer-wise relevance propagation.

use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, LrpRules, MethodInfo, Question, Requirement, Subject, Target,
    settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// Layer-wise relevance propagation: the output's value is handed down, block by block, in proportion to what each
/// number contributed.
///
/// Rᵢ = xᵢ · mᵢ with multipliers m that are 1 at the output and pass through every block by a rule
///
/// | Block | Rule by default |
/// |---|---|
/// | affine (dense, convolution, mean of windows) | the `default_rule`, which is `Epsilon(1e-9)`: Rᵢ = Σⱼ xᵢ wⱼᵢ Rⱼ / (yⱼ + ε sign yⱼ) |
/// | element by element (ReLU, tanh, GELU, ...) | `Identity`: Rᵢ is that of the output in the same place |
/// | the largest of a window | all of it to the largest |
/// | softmax | Rᵢ = xᵢ (Rᵢ − yᵢ Σⱼ Rⱼ), the Taylor rule of AttnLRP: input times gradient |
/// | layer norm, RMS norm | the epsilon rule with the standard deviation as a constant, as in AttnLRP |
/// | product of two tensors, of matrices or number by number (gates) | the epsilon rule, half of it to each factor, as in AttnLRP |
/// | anything else | an error: its layer needs a rule of its own |
///
/// Sums, means, reshaping and constant factors need no block: relevance passes by their gradient.
///
/// * **Gives** one relevance for each element of each input, `[batch, ...]`. They add up to F(x), less what is
///   absorbed: by biases and the constants that a model adds, by normalizations and softmax, by ε, and where an input
///   is 0. The convergence delta is F(x) − Σ R, as in Captum. It is 0 without biases, with ε = 0, for dense layers,
///   convolutions, pooling and ReLU.
/// * **Needs** floating-point inputs, and a model that runs its operations as blocks ([`Layers::apply`],
///   [`Layers::run`]).
/// * **Costs** one forward and one backward pass, which computes each block again.
/// * **Differs from Captum** in that a block may be used twice, and transformers have rules. A rule is chosen by the
///   layer's name ([`rule`](Self::rule)), not by an attribute of a module. Relevance is lost at an input of 0 under
///   `Identity`, where Captum keeps it; right behind an activation Captum's identity rule hands on the gradient instead
///   of the relevance. No setting does either here. `set_bias_to_zero` is for all layers.
/// * **Remarks** on relevance that is not conserved, and how much of it no block absorbed.
/// * **Errors** if a rule's number is negative or not finite, a rule is for a layer that is not there (the message
///   lists those there are) or is not one block, a rule does not fit its block, an operation has no rule, no block
///   followed one, a shape or the target does not fit, a value is not finite, or no gradient reaches an input.
/// * **Paper**: Bach, Binder, Montavon, Klauschen, Müller and Samek, *On Pixel-Wise Explanations for Non-Linear
///   Classifier Decisions by Layer-Wise Relevance Propagation*, 2015; Achtibat et al., *AttnLRP*, ICML 2024.
///
/// [`Layers::apply`]: crate::model::Layers::apply
/// [`Layers::run`]: crate::model::Layers::run
///
/// ```
/// use candle_explain::prelude::*;
///
/// let weight = Tensor::new(&[[2f64, -3.]], &Device::Cpu)?;
/// let net = Sequential::from_layers(2, [("linear", Layer::Linear(Linear::from_weights(&weight, None)?))])?;
/// let x = Tensor::new(&[[3f64, 1.]], &Device::Cpu)?;
/// let relevance = LRP::new(&net).default_rule(LrpRule::Epsilon(0.)).attribute(&x, 0)?;
/// assert_eq!(relevance.tensor().to_vec2::<f64>()?, [[6., -3.]]);
/// assert_eq!(relevance.convergence_delta()?.values(), [0.]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LRP {
    model: Subject,
    rules: LrpRules,
}

settings! {
    LRP {
        lrp,
    }
}

impl LRP {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LRP",
        family: Family::Primary,
        summary: "the output handed down in proportion to what each number contributed",
        has_delta: true,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Blocks],
        paper: "Bach et al. 2015; Achtibat et al. 2024",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model, with the rules of the table.
    pub fn new<Marker>(model: impl IntoModel<Marker>) -> Self {
        Self { model: Subject::new(model), rules: LrpRules::default() }
    }
}

impl Attribute for LRP {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let relevance = question.relevance(&self.rules, &[])?;
            Attributions::to_inputs(Self::INFO.name, &question, relevance)
        })
    }
}
