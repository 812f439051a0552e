"""The cases of methods that give layers a rule of their own, and of neurons and inputs in several parts."""

from networks import *

INPUT = {"attribute_to_layer_input": True}
INTO = {"attribute_to_neuron_input": True}


def every():
    return [*of_deep_lift(), *of_layers(), *of_neurons(), *of_relus(), *of_relevance(), *of_maps(), *in_parts()]


def of_deep_lift():
    name = "DeepLift/"
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGINS, target=[2, 0, 1])
    yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=1)
    yield define(name + "reused", REUSED, ROWS, baselines=ORIGINS, target=[0, 2, 1])
    yield define(name + "reused_relu", REUSED_RELU, ROWS, baselines=ORIGIN, target=0)

    name = "DeepLiftShap/"
    yield define(name + "relu_leaky_relu", KINKY, ROWS, baselines=SEVERAL, target=[0, 2, 1])
    yield define(name + "tanh", TANHS, ROWS, baselines=ORIGINS, target=1)
    yield define(name + "single_output", SCORE, ROWS, baselines=ORIGINS)
    yield define(name + "local", RELUS, ROWS, baselines=SEVERAL, target=0, multiply_by_inputs=False)
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=sample(71, 3, 1, 6, 6), target=[1, 2])
    yield define(name + "avg_pool", AVERAGED, PICTURES, baselines=sample(72, 2, 2, 6, 6), target=0)
    yield define(name + "two_inputs", PAIR, TWO, baselines=[sample(73, 2, 3), sample(74, 2, 2)], target=1)
    yield define(name + "reused", REUSED, ROWS, baselines=SEVERAL, target=2)


def of_layers():
    name = "LayerDeepLift/"
    yield define(name + "linear1", RELUS, ROWS, baselines=ORIGINS, target=[0, 1, 2], layer="linear1")
    yield define(name + "relu", RELUS, ROWS, target=1, layer="act1")
    yield define(name + "softmax_above", SMOOTH, ROWS, baselines=0.25, target=2, layer="act1")
    yield define(name + "local", TANHS, ROWS, baselines=ORIGINS, target=0, layer="linear2", multiply_by_inputs=False)
    yield define(name + "single_output", SCORE, ROWS, baselines=ORIGIN, layer="act2")
    yield define(name + "linear2_input", RELUS, ROWS, baselines=ORIGIN, target=1, layer="linear2", **INPUT)
    yield define(name + "output_layer", KINKY, ROWS, baselines=ORIGIN, target=1, layer="linear3")
    yield define(name + "conv", PADDED, IMAGES, baselines=0.2, target=[2, 0], layer="conv1")
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=SKETCH, target=1, layer="pool1")
    yield define(name + "avg_pool", AVERAGED, PICTURES, target=[2, 0], layer="relu1")
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGINS, target=0, layer="both")
    yield define(name + "one_way_of_two", PAIR, TWO, baselines=TWO_ORIGIN, target=2, layer="left")
    yield define(name + "reused_above", REUSED, ROWS, baselines=ORIGINS, target=1, layer="linear1")

    name = "LayerDeepLiftShap/"
    yield define(name + "relu", RELUS, ROWS, baselines=SEVERAL, target=[0, 1, 2], layer="act1")
    yield define(name + "linear2", TANHS, ROWS, baselines=ORIGINS, target=1, layer="linear2")
    yield define(name + "linear2_input", RELUS, ROWS, baselines=SEVERAL, target=0, layer="linear2", **INPUT)
    yield define(name + "local", KINKY, ROWS, baselines=SEVERAL, target=2, layer="linear1", multiply_by_inputs=False)
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=sample(75, 2, 1, 6, 6), target=0, layer="conv1")
    yield define(name + "two_inputs", PAIR, TWO, baselines=[sample(73, 2, 3), sample(74, 2, 2)], target=1,
                 layer="both_act")


def of_neurons():
    name = "NeuronDeepLift/"
    yield define(name + "tanh", TANHS, ROWS, baselines=ORIGINS, layer="act2", neuron=[1])
    yield define(name + "relu_zeros", RELUS, ROWS, layer="act1", neuron=[3])
    yield define(name + "relu_input", RELUS, ROWS, baselines=ORIGIN, layer="act2", neuron=[2], **INTO)
    yield define(name + "local", KINKY, ROWS, baselines=0.3, layer="linear3", neuron=[0], multiply_by_inputs=False)
    yield define(name + "conv", PADDED, IMAGES, baselines=0.2, layer="pool1", neuron=[1, 0, 1])
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGINS, layer="both_act", neuron=[0])
    yield define(name + "slice", RELUS, ROWS, baselines=ORIGIN, layer="act2", neuron=window([1, 3]))
    yield define(name + "conv_slice", MAXIMA, SKETCHES, baselines=SKETCH, layer="relu1",
                 neuron=window([0, 2], [1, 3], [0, 2]))
    yield define(name + "function", TANHS, ROWS, baselines=ORIGINS, layer="act1",
                 neuron=window([0, 3]) | {"function": "sum"})
    yield define(name + "reused_below", REUSED_RELU, ROWS, baselines=ORIGINS, layer="linear3", neuron=[1])

    name = "NeuronDeepLiftShap/"
    yield define(name + "relu", RELUS, ROWS, baselines=SEVERAL, layer="act2", neuron=[0])
    yield define(name + "tanh_input", TANHS, ROWS, baselines=ORIGINS, layer="act2", neuron=[3], **INTO)
    yield define(name + "local", RELUS, ROWS, baselines=SEVERAL, layer="linear3", neuron=[2], multiply_by_inputs=False)
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=sample(75, 2, 1, 6, 6), layer="pool1", neuron=[0, 1, 1])
    yield define(name + "slice", RELUS, ROWS, baselines=SEVERAL, layer="act1", neuron=window([1, 4]))


def of_relus():
    for name in ["GuidedBackprop/", "Deconvolution/"]:
        yield define(name + "relus", RELUS, ROWS, target=[0, 2, 1])
        yield define(name + "one_relu_of_two", KINKY, ROWS, target=1)
        yield define(name + "single_output", RELUS_OF_ONE, ROWS)
        yield define(name + "relu_kinks", kinks("relu"), KINKED, target=1)
        yield define(name + "max_pool", PADDED, IMAGES, target=[2, 0])
        yield define(name + "avg_pool", AVERAGED, PICTURES, target=1)
        yield define(name + "two_inputs", PAIR, TWO, target=[1, 0, 2])
        yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=0)
        yield define(name + "reused", REUSED, ROWS, target=2)
    for name in ["NeuronGuidedBackprop/", "NeuronDeconvolution/"]:
        yield define(name + "relu", RELUS, ROWS, layer="act2", neuron=[1])
        yield define(name + "relu_input", RELUS, ROWS, layer="act2", neuron=[1], **INTO)
        yield define(name + "conv", AVERAGED, PICTURES, layer="relu2", neuron=[2, 1, 0])
        yield define(name + "max_pool", MAXIMA, SKETCHES, layer="pool1", neuron=[1, 0, 1])
        yield define(name + "two_inputs", PAIR, TWO, layer="head", neuron=[0])
        yield define(name + "slice", AVERAGED, PICTURES, layer="conv2", neuron=window([0, 2], [0, 1], [0, 2]))
        yield define(name + "function", RELUS, ROWS, layer="linear3", neuron=window([0, 2]) | {"function": "sum"})


def of_relevance():
    square = network(
        76, linear("linear1", 4, 4), layer("relu1", "relu"), linear("linear2", 4, 4), layer("relu2", "relu"),
        linear("linear3", 4, 3))
    by_layer = {"linear1": {"rule": "alpha1_beta0"}, "linear2": {"rule": "gamma", "gamma": 0.5}}
    by_conv = {"conv1": {"rule": "alpha1_beta0"}, "conv2": {"rule": "gamma", "gamma": 0.25},
               "fc": {"rule": "epsilon", "epsilon": 0.01}}
    name = "LRP/"
    yield define(name + "relu", RELUS, ROWS, target=[0, 1, 2])
    yield define(name + "tanh", TANHS, ROWS, target=1, rule="epsilon", epsilon=1e-9)
    yield define(name + "single_output", RELUS_OF_ONE, ROWS)
    yield define(name + "epsilon", RELUS, ROWS, target=[0, 1, 2], rule="epsilon", epsilon=0.1)
    yield define(name + "epsilon_tanh", TANHS, ROWS, target=0, rule="epsilon", epsilon=0.5)
    yield define(name + "gamma", RELUS, ROWS, target=1, rule="gamma", gamma=0.25)
    yield define(name + "gamma_large", RELUS, ROWS, target=2, rule="gamma", gamma=10.0)
    yield define(name + "alpha1_beta0", RELUS, ROWS, target=[2, 1, 0], rule="alpha1_beta0")
    yield define(name + "identity_below", square, ROWS, target=0, rules={"linear1": {"rule": "identity"}})
    yield define(name + "by_layer", RELUS, ROWS, target=1, rules=by_layer)
    yield define(name + "by_layer_over_one", RELUS, ROWS, target=2, rule="epsilon", epsilon=0.05, rules=by_layer)
    yield define(name + "max_pool", MAXIMA, SKETCHES, target=[1, 0])
    yield define(name + "avg_pool", AVERAGED, PICTURES, target=[1, 2])
    yield define(name + "conv_alpha1_beta0", AVERAGED, PICTURES, target=0, rule="alpha1_beta0")
    yield define(name + "conv_by_layer", AVERAGED, PICTURES, target=2, rules=by_conv)
    yield define(name + "two_inputs", PAIR, TWO, target=[2, 0, 1])
    yield define(name + "reused", REUSED, ROWS, target=0)

    name = "LayerLRP/"
    yield define(name + "linear1", RELUS, ROWS, target=[0, 1, 2], layer="linear1")
    yield define(name + "linear2_input", RELUS, ROWS, target=1, layer="linear2", **INPUT)
    yield define(name + "epsilon", TANHS, ROWS, target=1, layer="linear2", rule="epsilon", epsilon=0.1)
    yield define(name + "gamma", RELUS, ROWS, target=0, layer="linear1", rule="gamma", gamma=0.25)
    yield define(name + "alpha1beta0_input", RELUS, ROWS, target=2, layer="linear2", rule="alpha1_beta0", **INPUT)
    yield define(name + "by_layer", RELUS, ROWS, target=1, layer="linear1", rules=by_layer)
    yield define(name + "max_pool", MAXIMA, SKETCHES, target=[1, 0], layer="conv1")
    yield define(name + "avg_pool_input", AVERAGED, PICTURES, target=1, layer="pool1", **INPUT)
    yield define(name + "two_inputs", PAIR, TWO, target=1, layer="right")


def of_maps():
    name = "LayerGradCam/"
    yield define(name + "conv", PADDED, IMAGES, target=[2, 0], layer="conv1")
    yield define(name + "conv_relu", PADDED, IMAGES, target=1, layer="conv1", relu_attributions=True)
    yield define(name + "channels", AVERAGED, PICTURES, target=[0, 2], layer="conv2", attr_dim_summation=False)
    yield define(name + "channels_relu", AVERAGED, PICTURES, target=1, layer="relu1", attr_dim_summation=False,
                 relu_attributions=True)
    yield define(name + "pool_input", MAXIMA, SKETCHES, target=1, layer="pool1", **INPUT)
    yield define(name + "softmax", STRIDED, COLOURED, target=0, layer="tanh1")
    yield define(name + "dense_output", DENSE, TILES, target=PLACES, layer="conv1")
    yield define(name + "rows", SMOOTH, ROWS, target=1, layer="act1")
    yield define(name + "two_inputs", IMAGE_AND_ROW, MIXED, target=[0, 1], layer="conv")

    name = "GuidedGradCam/"
    yield define(name + "conv", PADDED, IMAGES, target=[2, 0], layer="conv1")
    yield define(name + "nearest", AVERAGED, PICTURES, target=0, layer="pool1", interpolate_mode="nearest")
    yield define(name + "bilinear", MAXIMA, SKETCHES, target=0, layer="pool1", interpolate_mode="bilinear")
    yield define(name + "bilinear_2_to_6", AVERAGED, PICTURES, target=[2, 1], layer="conv2",
                 interpolate_mode="bilinear")
    yield define(name + "pool_input", MAXIMA, SKETCHES, target=0, layer="pool1", interpolate_mode="bilinear", **INPUT)
    yield define(name + "nearest_4_to_6", MAXIMA, SKETCHES, target=0, layer="relu1")
    yield define(name + "nearest_3_to_6", AVERAGED, PICTURES, target=2, layer="pool1", interpolate_mode="nearest")


def in_parts():
    """Several inputs, layers that run twice and neurons in parts, under the methods of gradients and paths."""
    yield define("Forward/two_inputs", PAIR_SMOOTH, TWO)
    yield define("Forward/image_and_row", IMAGE_AND_ROW, MIXED)
    yield define("Forward/reused", REUSED, ROWS)
    yield define("Saliency/two_inputs", PAIR_SMOOTH, TWO, target=[0, 2, 1])
    yield define("Saliency/reused", REUSED, ROWS, target=1, abs=False)
    yield define("InputXGradient/two_inputs", PAIR, TWO, target=1)
    yield define("InputXGradient/reused", REUSED, ROWS, target=0)
    yield integral("IntegratedGradients/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGINS, target=[0, 2, 1])
    yield integral("IntegratedGradients/image_and_row", IMAGE_AND_ROW, MIXED, 5, target=1)
    yield integral("IntegratedGradients/reused", REUSED, ROWS, 20, baselines=ORIGIN, target=2)
    yield define("LayerActivation/two_inputs", PAIR_SMOOTH, TWO, layer="both")
    yield define("LayerGradientXActivation/two_inputs", PAIR_SMOOTH, TWO, target=2, layer="right_act")
    yield integral("LayerIntegratedGradients/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGIN, target=0,
                   layer="both_act")
    yield integral("LayerIntegratedGradients/reused", REUSED, ROWS, 10, baselines=ORIGIN, target=1, layer="linear3",
                   **INPUT)
    yield integral("LayerConductance/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGINS, target=1, layer="left")
    yield integral("InternalInfluence/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGINS, target=1, layer="both")
    yield define("NeuronGradient/two_inputs", PAIR_SMOOTH, TWO, layer="both_act", neuron=[3])
    yield define("NeuronGradient/slice", SMOOTH, ROWS, layer="act1", neuron=window([1, 4]))
    yield define("NeuronGradient/conv_slice", STRIDED, COLOURED, layer="conv1", neuron=window([0, 2], [1, 3], [0, 4]))
    yield define("NeuronGradient/function", CURVED, ROWS, layer="act2", neuron=window([0, 2]) | {"function": "sum"})
    yield integral("NeuronIntegratedGradients/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGINS, layer="both",
                   neuron=[1])
    yield integral("NeuronIntegratedGradients/slice", SMOOTH, ROWS, 10, baselines=ORIGIN, layer="act2",
                   neuron=window([2, 4]))
    yield integral("NeuronConductance/two_inputs", PAIR_SMOOTH, TWO, 10, baselines=TWO_ORIGINS, target=0,
                   layer="both_act", neuron=[2])
    yield integral("NeuronConductance/slice", SMOOTH, ROWS, 10, "riemann_trapezoid", baselines=ORIGIN, target=1,
                   layer="act1", neuron=window([1, 4]))
    yield integral("NeuronConductance/conv_slice", STRIDED, COLOURED, 3, target=0, layer="conv1",
                   neuron=window([0, 2], [1, 3], [0, 4]))
    yield integral("NeuronConductance/function", CURVED, ROWS, 5, baselines=ORIGINS, target=[2, 1, 0], layer="act2",
                   neuron=window([0, 3]) | {"function": "sum"})
