//! Guided Grad-CAM: guided backpropagation where Grad-CAM sees the output.

use super::layer_grad_cam::weighted_channels;
use crate::engine::{
    Attribute, Attributions, Budget, Cost, Family, Interpolation, LayerNames, MethodInfo, Passing, Question,
    Requirement, Subject, Target, check_finite, interpolated, products, settings,
};
use crate::error::{Result, bail};
use crate::model::{Inputs, IntoModel};

/// Guided Grad-CAM.
///
/// aᵢ = gᵢ · max(cᵢ, 0), with g of [`GuidedBackprop`](crate::attr::GuidedBackprop) and c of
/// [`LayerGradCam`](crate::attr::LayerGradCam), interpolated to the input's size
///
/// * **Gives** one attribution for each element of each input, `[batch, channels, ...]`. Between tables, `[batch,
///   features]`, Grad-CAM is one number for each example.
/// * **Needs** floating-point inputs with as many axes as the layer, `[batch, channels, ...]`, and a model that runs its
///   ReLUs as blocks, as `Sequential` does. The last convolution is the usual layer.
/// * **Costs** two forward and two backward passes for the whole batch.
/// * **Differs from Captum** in that inputs of another number of axes are an error, where Captum gives an empty tensor.
///   [`Interpolation::Linear`] is Captum's `linear`, `bilinear` or `trilinear`, by the number of axes.
/// * **Errors** as both methods do, and if the layer's output cannot be interpolated to an input's size.
/// * **Checks** once that the model's gradients are the slopes of its output, unless it is a `Sequential`, an encoder
///   or a classifier of this crate ([`Check`](crate::engine::Check)).
/// * **Paper**: Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*,
///   ICCV 2017.
///
/// ```
/// use candle_explain::prelude::*;
///
/// let net = Sequential::builder([1, 6, 6])
///     .conv2d("conv", 2, 3).relu("relu").flatten("flatten").linear("out", 2).build(Seed(7))?;
/// let x = Tensor::ones((5, 1, 6, 6), DType::F32, &Device::Cpu)?;
/// let result = GuidedGradCam::new(&net, "conv").attribute(&x, 1)?;
/// assert_eq!(result.tensor().dims(), [5, 1, 6, 6]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct GuidedGradCam {
    model: Subject,
    layers: LayerNames,
    interpolate_mode: Interpolation,
}

settings! {
    GuidedGradCam(layer) {
        attribute_to_layer_input =
            "Whether Grad-CAM is that of what goes into the layer instead of its output; not by default.",
        interpolate_mode: Interpolation = "How Grad-CAM is brought to the input's size; `Nearest` by default.",
        gradient_check,
    }
}

impl GuidedGradCam {
    pub(crate) const INFO: MethodInfo = MethodInfo {
        name: "GuidedGradCam",
        family: Family::Primary,
        summary: "guided backpropagation times Grad-CAM of a layer, at the input's size",
        has_delta: false,
        has_target: true,
        cost: Cost::ForwardBackward,
        requires: &[Requirement::Gradients, Requirement::Relus],
        paper: "Selvaraju et al. 2017",
        options: Self::OPTIONS,
        needs: Self::NEEDS,
        build: Self::build,
    };

    /// The method for a model and a layer's name.
    pub fn new<Marker>(model: impl IntoModel<Marker>, layer: impl Into<String>) -> Self {
        Self {
            model: Subject::new(model),
            layers: LayerNames::from(layer.into()),
            interpolate_mode: Interpolation::default(),
        }
    }
}

impl Attribute for GuidedGradCam {
    fn attribute_to(&self, inputs: &Inputs, target: &Target) -> Result<Attributions> {
        self.model.ask(|| {
            let place = self.layers.only()?;
            let question = Question::about_output(&self.model, inputs, target, &Budget::default())?;
            let guided = question.rectified_gradients(Passing::Guided)?;
            let channels = weighted_channels(&question, std::slice::from_ref(&place))?.swap_remove(0);
            let map = channels.sum_keepdim(1)?.relu()?;
            let mut values = Vec::new();
            for (index, gradient) in guided.iter().enumerate() {
                if gradient.rank() < 2 || gradient.rank() != map.rank() {
                    bail!(
                        Input,
                        "input {index} has the shape {:?}, and {place} gives {:?}: Grad-CAM is interpolated between \
                         tensors [batch, channels, ...] of as many axes",
                        gradient.dims(),
                        channels.dims()
                    )
                }
                let map = interpolated(&map, &gradient.dims()[2..], self.interpolate_mode)?;
                values.push(products(gradient, &map.broadcast_as(gradient.dims())?.contiguous()?)?);
            }
            check_finite(&values, "attribution")?;
            Attributions::to_inputs(Self::INFO.name, &question, values)
        })
    }
}
