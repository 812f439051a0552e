//! Grad-CAM: where the channels of a layer are that speak for the output.

use candle_core::{D, Tensor};

use crate::engine::{
    Attribute, Attributed, Attributions, Budget, Cost, Family, LayerNames, MethodInfo, Question, Requirement, Subject,
    Target, check_finite, products, settings,
};
use crate::error::{Result, bail};
use crate::model::{Inputs, IntoModel, Place};

/// Grad-CAM of a layer.
///
/// aₚ = Σ_c w_c · y_c,ₚ, where w_c is the mean of ∂F/∂y_c,ₚ over the places p of channel c
///
/// * **Gives** one attribution for each place of the layer's output `[batch, channels, ...]`: `[batch, 1, ...]`. Of an
///   output without places, `[batch, channels]`, every channel has a weight of its own, and there is one number,
///   `[batch, 1]`. [`Attributions::interpolate`] brings them to the size of an image. One pass serves several layers.
/// * **Costs** one forward and one backward pass for the whole batch.
/// * **Differs from Captum** in that it takes several layers.
/// * **Errors** if there is no such layer (the message lists those there are) or it has no axis of channels, a shape or
///   the target does not fit, a value is not finite, or the output does not depend on the layer.
/// * **Checks** once that the model's gradient is the slope of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate: three rows forward, two there and back ([`Check`](crate::engine::Check)).
/// * **Paper**: Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*,
///   ICCV 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder([1, 6, 6])
///     .conv2d("conv", 2, 3).relu("relu").flatten("flatten").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 1, 6, 6), DType::F32, &Device::Cpu)?;
/// let result = LayerGradCam::new(&net, "conv").attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [5, 1, 4, 4]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LayerGradCam {
    model: Subject,
    layers: LayerNames,
    relu_attributions: bool,
    attr_dim_summation: bool,
}

settings! {
    LayerGradCam(layers) {
        attribute_to_layer_input =
            "Whether what goes into the layer is attributed instead of its output; not by default.",
        relu_attributions: bool =
            "Whether negative attributions become 0, as in the paper, so that only what speaks for the output is left; not by default.",
        attr_dim_summation: bool =
            "Whether channels are added up (the default); without it each has its own attributions, `[batch, channels, ...]`.",
        gradient_check,
    }
}

impl LayerGradCam {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "LayerGradCam",
        family: Family::Layer,
        summary: "the layer's channels, each times the mean of its gradient, added up for each place",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients],
        paper: "Selvaraju et al. 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name, or several.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layers: impl Into<LayerNames>) -> Self {
        Self { model: Subject::new(model), layers: layers.into(), relu_attributions: false, attr_dim_summation: true }
    }
}

impl Attribute for LayerGradCam {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let places = self.layers.places()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let mut values = weighted_channels(&question, &places)?;
            if self.attr_dim_summation {
                values = values.iter().map(|value| Ok(value.sum_keepdim(1)?)).collect::<Result<_>>()?;
            }
            if self.relu_attributions {
                values = values.iter().map(|value| Ok(value.relu()?)).collect::<Result<_>>()?;
            }
            check_finite(&values, "attribution")?;
            Attributions::to_layers(Self::INFO.name, &question, values, &places)
        })
    }
}

/// Each layer's output times the mean of the gradient over the places of its channel.
pub(super) fn weighted_channels(question: &Question, places: &[Place]) -> Result<Vec<Tensor>> {
    let sample = question.at_every_row(Attributed::Layers(places), &|question, at| {
        question.layer_gradients(places, question.input_points(at)?, at)
    })?;
    let weighted = |(place, (gradient, activation)): (&Place, (&Tensor, &Tensor))| {
        let weights = match gradient.rank() {
            0 | 1 => bail!(
                Layer,
                "{place} gives {:?}: Grad-CAM weighs channels, so it expects [batch, channels, ...]",
                gradient.dims()
            ),
            2 => gradient.clone(),
            _ => {
                let means = gradient.flatten_from(2)?.mean_keepdim(D::Minus1)?;
                let ones = vec![1; gradient.rank() - 2];
                let shape = [&gradient.dims()[..2], &ones].concat();
                means.reshape(shape)?.broadcast_as(gradient.dims())?.contiguous()?
            }
        };
        products(&weights, activation)
    };
    places.iter().zip(sample.gradients.iter().zip(&sample.activations)).map(weighted).collect()
}
