"""The cases of methods that add noise or draw places on a path."""

from networks import *

BATCH = sample(77, 2, 4)


def every():
    return [*of_gradients(), *of_noise()]


def of_gradients():
    """Where the gradient does not change along the path the draws do not matter, if one row is all there is to draw."""
    name = "GradientShap/"
    yield define(name + "straight", STRAIGHT, ROWS, baselines=ORIGIN, target=[0, 2, 1], n_samples=3)
    yield define(name + "straight_local", STRAIGHT, ROWS, baselines=ORIGIN, target=1, n_samples=2, stdevs=0.0,
                 multiply_by_inputs=False)
    yield define(name + "straight_local_noise", STRAIGHT, ROWS, baselines=ORIGINS, target=1, n_samples=4, stdevs=0.5,
                 multiply_by_inputs=False)
    yield define(name + "straight_conv", LINEAR_CONV, TILES, baselines=sample(86, 1, 1, 4, 4), target=1, n_samples=2)
    yield define("LayerGradientShap/straight", STRAIGHT, ROWS, baselines=ORIGIN, target=2, layer="linear1", n_samples=3)
    yield define("LayerGradientShap/straight_conv", LINEAR_CONV, TILES, baselines=sample(86, 1, 1, 4, 4), target=0,
                 layer="conv1", n_samples=2)
    yield define("NeuronGradientShap/straight", STRAIGHT, ROWS, baselines=ORIGIN, layer="linear2", neuron=[1],
                 n_samples=3)
    yield define("NeuronGradientShap/straight_conv", LINEAR_CONV, TILES, baselines=sample(86, 1, 1, 4, 4),
                 layer="pool1", neuron=[1, 0, 0], n_samples=2)

    def case(name, model, inputs, tolerance=0.005, **rest):
        return statistical(name, model, inputs, tolerance, "its expectation", n_samples=4000, **rest)

    yield case(name + "smooth", SMOOTH, ROWS, baselines=ORIGINS, target=[2, 0, 1])
    yield case(name + "noise", SMOOTH, ROWS, baselines=SEVERAL, target=1, stdevs=0.25)
    yield case(name + "local", SMOOTH, ROWS, baselines=SEVERAL, target=0, multiply_by_inputs=False)
    yield case(name + "two_inputs", PAIR_SMOOTH, TWO, baselines=TWO_ORIGINS, target=1)
    name = "LayerGradientShap/"
    yield case(name + "smooth", SMOOTH, ROWS, baselines=ORIGINS, target=[2, 0, 1], layer="act1")
    yield case(name + "noise", SMOOTH, ROWS, baselines=SEVERAL, target=1, layer="act2", stdevs=0.25)
    yield case(name + "input", SMOOTH, ROWS, baselines=SEVERAL, target=0, layer="act1", attribute_to_layer_input=True)
    name = "NeuronGradientShap/"
    yield case(name + "smooth", SMOOTH, ROWS, baselines=ORIGINS, layer="act2", neuron=[1])
    yield case(name + "noise", SMOOTH, ROWS, baselines=SEVERAL, layer="act2", neuron=[3], stdevs=0.25)
    yield case(name + "slice", SMOOTH, ROWS, baselines=SEVERAL, layer="act2", neuron=window([1, 3]))


def of_noise():
    name = "NoiseTunnel/"
    yield define(name + "no_noise", SMOOTH, ROWS, target=1, method="Saliency", nt_samples=3, stdevs=0.0, abs=False)
    yield define(name + "no_noise_sq", SMOOTH, ROWS, target=[0, 1, 2], method="InputXGradient", nt_type="smoothgrad_sq",
                 nt_samples=3, stdevs=0.0)
    yield define(name + "straight", STRAIGHT, ROWS, target=1, method="Saliency", nt_samples=4, stdevs=0.5)
    yield define(name + "straight_vargrad", STRAIGHT, ROWS, target=2, method="Saliency", nt_type="vargrad",
                 nt_samples=4, stdevs=0.5)

    def case(name, tolerance=0.002, **rest):
        return statistical("NoiseTunnel/" + name, SMOOTH, BATCH, tolerance, "its expectation", nt_samples=4000,
                           nt_samples_batch_size=1000, **rest)

    yield case("saliency", target=1, method="Saliency", stdevs=0.5, abs=False)
    yield case("saliency_sq", target=[0, 2], method="Saliency", nt_type="smoothgrad_sq", stdevs=0.5, abs=False)
    yield case("input_x_gradient", target=2, method="InputXGradient", stdevs=0.5)
    yield case("input_x_gradient_vargrad", target=0, method="InputXGradient", nt_type="vargrad", stdevs=0.5)
    yield case("integrated_gradients", target=1, method="IntegratedGradients", stdevs=0.3, n_steps=10)
    yield case("feature_ablation", target=1, method="FeatureAblation", stdevs=0.3)
    yield case("layer", target=1, method="LayerGradientXActivation", stdevs=0.3, layer="act1")
