//! The attribution methods, one file each.

use crate::engine::define_methods;

define_methods! {
    integrated_gradients::IntegratedGradients,
    saliency::Saliency,
    input_x_gradient::InputXGradient,
    deep_lift::DeepLift,
    guided_backprop::GuidedBackprop,
    deconvolution::Deconvolution,
    guided_grad_cam::GuidedGradCam,
    feature_ablation::FeatureAblation,
    gradient_shap::GradientShap,
    lrp::LRP,
    layer_integrated_gradients::LayerIntegratedGradients,
    layer_conductance::LayerConductance,
    layer_lrp::LayerLRP,
    layer_activation::LayerActivation,
    layer_gradient_x_activation::LayerGradientXActivation,
    layer_grad_cam::LayerGradCam,
    internal_influence::InternalInfluence,
    layer_gradient_shap::LayerGradientShap,
    neuron_conductance::NeuronConductance,
    neuron_gradient::NeuronGradient,
    neuron_integrated_gradients::NeuronIntegratedGradients,
    neuron_guided_backprop::NeuronGuidedBackprop,
    neuron_deconvolution::NeuronDeconvolution,
    neuron_gradient_shap::NeuronGradientShap,
}
