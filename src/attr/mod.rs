//! The attribution methods, one file each.

use crate::engine::define_methods;

define_methods! {
    integrated_gradients::IntegratedGradients,
    saliency::Saliency,
    input_x_gradient::InputXGradient,
    deep_lift::DeepLift,
    deep_lift_shap::DeepLiftShap,
    guided_backprop::GuidedBackprop,
    deconvolution::Deconvolution,
    guided_grad_cam::GuidedGradCam,
    layer_integrated_gradients::LayerIntegratedGradients,
    layer_conductance::LayerConductance,
    layer_activation::LayerActivation,
    layer_gradient_x_activation::LayerGradientXActivation,
    layer_grad_cam::LayerGradCam,
    layer_deep_lift::LayerDeepLift,
    layer_deep_lift_shap::LayerDeepLiftShap,
    internal_influence::InternalInfluence,
    neuron_conductance::NeuronConductance,
    neuron_gradient::NeuronGradient,
    neuron_integrated_gradients::NeuronIntegratedGradients,
    neuron_deep_lift::NeuronDeepLift,
    neuron_deep_lift_shap::NeuronDeepLiftShap,
    neuron_guided_backprop::NeuronGuidedBackprop,
    neuron_deconvolution::NeuronDeconvolution,
}
