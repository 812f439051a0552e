//! The output of a layer, as an attribution method.

use crate::engine::{
    Attribute, Attributions, Cost, Family, LayerNames, MethodInfo, Subject, Target, activations_and_rounding,
    check_finite, settings,
};
use crate::error::Result;
use crate::model::{Inputs, IntoModel};

/// The output of one or more layers.
///
/// * **Gives** each layer's output, `[batch, ...]`.
/// * **Costs** one forward pass, up to the last of these layers.
/// * **Differs from Captum** in nothing.
/// * **Errors** if there is no such layer (the message lists those there are) or a value is not
///   finite.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder(3).linear("hidden", 4).relu("relu").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
/// let result = LayerActivation::new(&net, ["hidden", "relu"]).attribute(&x)?;
/// assert_eq!(result.value(1)?.dims(), [5, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerActivation {
    model: Subject,
    layers: LayerNames,
}

settings! {
    LayerActivation(layers) {
        attribute_to_layer_input = "Whether what goes into the layer is given instead of its output; not by default.",
    }
}

impl LayerActivation {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerActivation",
        family: Family::Layer,
        summary: "the layer's output itself",
        has_delta: false,
        has_target: false,
        cost: Cost::Forward,
        requires: &[],
        paper: "",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into() }
    }

    /// The activations for these inputs; there is no target.
    pub fn attribute(&self, inputs: impl Into<Inputs>) -> Result<Attributions> {
        self.attribute_to(&inputs.into(), &Target::None)
    }
}

impl Attribute for LayerActivation {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        target.require_none(Self::INFO.name)?;
        self.model.ask(|| {
            let places = self.layers.places()?;
            let model = self.model.for_call(inputs.examples());
            let found = activations_and_rounding(&*model, inputs, &places)?;
            check_finite(&found.0, "activation")?;
            Ok(Attributions::activations(Self::INFO.name, inputs, found, &places))
        })
    }
}
