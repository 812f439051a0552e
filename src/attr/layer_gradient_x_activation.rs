//! A layer's activation times its gradient.

use std::sync::Arc;

use crate::engine::{
    Attribute, Attributed, Attributions, Cost, Expansion, Family, LayerNames, MethodInfo, Options, Question, Subject,
    Target, check_finite, check_setter, flag_setter, for_every_row, layer_input_setter, products,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel, Model, Place};

/// A layer's activation times the gradient with respect to it.
///
/// aⱼ = yⱼ · ∂F/∂yⱼ, or ∂F/∂yⱼ alone with `multiply_by_inputs(false)`
///
/// * **Gives** one attribution for each element of each layer's output, `[batch, ...]`. Several
///   layers are served by the same pass, each with its own gradient.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in nothing.
/// * **Errors** if there is no such layer (the message lists those there are), a shape or the
///   target does not fit, a value is not finite, or the output does not depend on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 3), DType::F32, &Device::Cpu)?;
/// let result = LayerGradientXActivation::new(&net, "relu").attribute(&x, Target::Class(0))?;
/// assert_eq!(result.tensor().dims(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerGradientXActivation {
    model: Subject,
    layers: LayerNames,
    multiply_by_inputs: bool,
}

impl LayerGradientXActivation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerGradientXActivation",
        family: Family::Layer,
        summary: "the layer's output times the gradient with respect to it",
        has_delta: false,
        cost: Cost::ForwardBackward,
        paper: "",
        options: &[&["layer", "attribute_to_layer_input", "multiply_by_inputs", "gradient_check"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), multiply_by_inputs: true }
    }

    check_setter!();

    flag_setter!(multiply_by_inputs, "Whether the gradient is multiplied by the activation (the default).");

    layer_input_setter!("Whether what goes into the layer is attributed instead of its output; not by default.");

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        let multiply_by_inputs = options.multiply_by_inputs.unwrap_or(true);
        Ok(Self { model: options.subject(model), layers: options.layers(Self::INFO.name)?, multiply_by_inputs })
    }
}

impl Attribute for LayerGradientXActivation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let places = self.layers.places()?;
            let question = Question::at_inputs(&self.model, inputs, target)?;
            let of = Attributed::Layers(&places);
            let pass = |question: &Question, at: &Expansion| question.layers_with_gradients(&places, at);
            let both = for_every_row(
                &question,
                |at| Ok(pass(&question, at)?.1),
                |first| question.check_gradient(of, &first.values[..places.len()], first, &pass),
            )?;
            question.check_other_targets(of, &pass)?;
            let (activations, gradients) = both.split_at(places.len());
            let values = if self.multiply_by_inputs {
                let pairs = gradients.iter().zip(activations);
                pairs.map(|(gradient, activation)| products(gradient, activation)).collect::<Result<_>>()?
            } else {
                gradients.to_vec()
            };
            check_finite(&values, "attribution")?;
            let names = places.iter().map(Place::to_string).collect();
            question.attributions(Self::INFO.name, values, names, None)
        })
    }
}
