//! The attribution methods, one file each.

use crate::engine::define_methods;

define_methods! {
    integrated_gradients::IntegratedGradients,
    saliency::Saliency,
    input_x_gradient::InputXGradient,
    deep_lift::DeepLift,
    feature_ablation::FeatureAblation,
    feature_permutation::FeaturePermutation,
    occlusion::Occlusion,
    shapley_value_sampling::ShapleyValueSampling,
    shapley_values::ShapleyValues,
    lime::Lime,
    kernel_shap::KernelShap,
    layer_integrated_gradients::LayerIntegratedGradients,
    layer_conductance::LayerConductance,
    layer_activation::LayerActivation,
    layer_gradient_x_activation::LayerGradientXActivation,
    internal_influence::InternalInfluence,
    layer_feature_ablation::LayerFeatureAblation,
    layer_feature_permutation::LayerFeaturePermutation,
    neuron_conductance::NeuronConductance,
    neuron_gradient::NeuronGradient,
    neuron_integrated_gradients::NeuronIntegratedGradients,
    neuron_feature_ablation::NeuronFeatureAblation,
}
