//! A layer's activation times its gradient.

use std::sync::Arc;

use crate::engine::{
    Attribute, Attributions, Cost, Family, LayerNames, MethodInfo, Options, Question, ROWS_PER_EVALUATION, Target,
    check_finite, flag_setter, for_every_row, layer_input_setter,
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
    model: Arc<dyn Model>,
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
        options: &[&["layer", "attribute_to_layer_input", "multiply_by_inputs"]],
        build: |model, options| Ok(Box::new(Self::from_options(model, options)?)),
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: model.into_model(), layers: layers.into(), multiply_by_inputs: true }
    }

    flag_setter!(multiply_by_inputs, "Whether the gradient is multiplied by the activation (the default).");

    layer_input_setter!("Whether what goes into the layer is attributed instead of its output; not by default.");

    fn from_options(model: Arc<dyn Model>, options: &Options) -> Result<Self> {
        options.check(&Self::INFO)?;
        let multiply_by_inputs = options.multiply_by_inputs.unwrap_or(true);
        Ok(Self { model, layers: options.layers(Self::INFO.name)?, multiply_by_inputs })
    }
}

impl Attribute for LayerGradientXActivation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        let places = self.layers.places()?;
        let question = Question::about_output(&self.model, inputs.clone(), target, ROWS_PER_EVALUATION)?;
        let both = for_every_row(question.batch_size(), |at| {
            question.layer_gradients(&places, question.input_points(at)?, at)
        })?;
        let (activations, gradients) = both.split_at(places.len());
        let values = if self.multiply_by_inputs {
            let products =
                activations.iter().zip(gradients).map(|(activation, gradient)| Ok(activation.mul(gradient)?));
            products.collect::<Result<_>>()?
        } else {
            gradients.to_vec()
        };
        check_finite(&values, "attribution")?;
        let names = places.iter().map(Place::to_string).collect();
        Ok(question.attributions(Self::INFO.name, values, names, None))
    }
}
