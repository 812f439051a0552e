//! The attribution methods, one file each.

use crate::engine::define_methods;

define_methods! {
    integrated_gradients::IntegratedGradients,
    saliency::Saliency,
    input_x_gradient::InputXGradient,
    deep_lift::DeepLift,
    gradient_shap::GradientShap,
    noise_tunnel::NoiseTunnel,
    layer_integrated_gradients::LayerIntegratedGradients,
    layer_conductance::LayerConductance,
    layer_activation::LayerActivation,
    layer_gradient_x_activation::LayerGradientXActivation,
    internal_influence::InternalInfluence,
    layer_gradient_shap::LayerGradientShap,
    neuron_conductance::NeuronConductance,
    neuron_gradient::NeuronGradient,
    neuron_integrated_gradients::NeuronIntegratedGradients,
    neuron_gradient_shap::NeuronGradientShap,
}
