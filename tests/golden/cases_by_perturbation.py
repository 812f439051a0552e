"""The cases of methods that change inputs and look at outputs."""

from classifiers import *
from networks import *

PAIRED = mask(1, 4, data=[0, 1, 1, 0])
THREE = mask(1, 4, data=[0, 2, 1, 2])
QUARTERS = mask(1, 1, 4, 4, data=[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])
APART = [mask(1, 3, data=[0, 1, 0]), mask(1, 2, data=[2, 3])]
ACROSS = [mask(1, 3, data=[0, 1, 2]), mask(1, 2, data=[2, 0])]
IMAGE_PARTS = mask(1, 1, 4, 4, data=[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2])
MIXED_PARTS = [IMAGE_PARTS, mask(1, 3, data=[3, 4, 2])]
BATCH = sample(77, 2, 4)  # two rows have one permutation that moves something: their exchange
TWO_OF_TWO = [sample(78, 2, 3), sample(79, 2, 2)]

WORDS = mask(1, 7, data=[0, 1, 1, 2, 3, 3, 0])
BERT_PADS = {"baselines": reference(BERT_IDS, 0), "target": [2, 0]}


def every():
    return [*ablated(), *occluded(), *permuted(), *in_coalitions(), *drawn(), *in_texts()]


def ablated():
    name = "FeatureAblation/"
    yield define(name + "zeros", RELUS, ROWS, target=[0, 2, 1])
    yield define(name + "number", SMOOTH, ROWS, baselines=0.25, target=1)
    yield define(name + "row", CURVED, ROWS, baselines=ORIGIN, target=2)
    yield define(name + "rows", SCORE, ROWS, baselines=ORIGINS)
    yield define(name + "mask", SMOOTH, ROWS, baselines=ORIGIN, target=0, feature_mask=[PAIRED])
    yield define(name + "mask_unordered_batched", RELUS, ROWS, target=1, feature_mask=[THREE], perturbations_per_eval=2)
    yield define(name + "pixels", PADDED, IMAGES, baselines=0.1, target=[2, 0], perturbations_per_eval=7)
    yield define(name + "segments", DENSE, TILES, target=PLACES, feature_mask=[QUARTERS])
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=SKETCH, target=1, perturbations_per_eval=36)
    yield define(name + "avg_pool", STRIDED, COLOURED, target=1, perturbations_per_eval=98)
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGINS, target=[0, 1, 2])
    yield define(name + "two_inputs_apart", PAIR_SMOOTH, TWO, target=1, feature_mask=APART)
    yield define(name + "two_inputs_across", PAIR_SMOOTH, TWO, baselines=TWO_ORIGIN, target=2, feature_mask=ACROSS)
    yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=0, feature_mask=MIXED_PARTS)
    yield define(name + "reused", REUSED, ROWS, baselines=ORIGIN, target=2)

    name = "LayerFeatureAblation/"
    yield define(name + "relu", RELUS, ROWS, target=[0, 2, 1], layer="act1")
    yield define(name + "linear2_number", SMOOTH, ROWS, target=1, layer="linear2", layer_baselines=0.5)
    yield define(name + "row", CURVED, ROWS, target=2, layer="act2", layer_baselines=[sample(80, 1, 4)])
    yield define(name + "input", SMOOTH, ROWS, target=0, layer="act1", attribute_to_layer_input=True)
    yield define(name + "mask", RELUS, ROWS, target=1, layer="linear1", layer_mask=[mask(1, 5, data=[0, 1, 1, 2, 0])])
    yield define(name + "conv_channels", AVERAGED, PICTURES, target=[2, 0], layer="relu2",
                 layer_mask=[mask(1, 3, 1, 1, data=[0, 1, 2])])
    yield define(name + "max_pool", MAXIMA, SKETCHES, target=1, layer="pool1", perturbations_per_eval=3)
    yield define(name + "two_inputs", PAIR, TWO, target=2, layer="both_act", layer_baselines=0.1)

    name = "NeuronFeatureAblation/"
    yield define(name + "relu", RELUS, ROWS, layer="act2", neuron=[1])
    yield define(name + "input", SMOOTH, ROWS, baselines=0.25, layer="act2", neuron=[0], attribute_to_neuron_input=True)
    yield define(name + "mask", CURVED, ROWS, baselines=ORIGIN, layer="linear2", neuron=[3], feature_mask=[PAIRED])
    yield define(name + "conv", MAXIMA, SKETCHES, layer="relu1", neuron=[1, 2, 2], perturbations_per_eval=12)
    yield define(name + "two_inputs_across", PAIR, TWO, baselines=TWO_ORIGINS, layer="both_act", neuron=[2],
                 feature_mask=ACROSS)
    yield define(name + "slice", RELUS, ROWS, baselines=ORIGINS, layer="act1", neuron=window([0, 3]))
    yield define(name + "conv_slice", AVERAGED, PICTURES, layer="relu2", neuron=window([0, 2], [0, 2], [1, 2]),
                 perturbations_per_eval=24)
    yield define(name + "function", SMOOTH, ROWS, layer="act2", neuron=window([1, 4]) | {"function": "sum"})


def occluded():
    name = "Occlusion/"
    yield define(name + "window_1", SMOOTH, ROWS, target=1, sliding_window_shapes=[1])
    yield define(name + "window_2", RELUS, ROWS, baselines=ORIGIN, target=[0, 2, 1], sliding_window_shapes=[2])
    yield define(name + "window_3_stride_2", RELUS, ROWS, baselines=0.5, target=1, sliding_window_shapes=[3],
                 strides=[2])
    yield define(name + "window_whole", SCORE, ROWS, baselines=ORIGINS, sliding_window_shapes=[4])
    yield define(name + "stride_of_a_number", CURVED, ROWS, target=0, sliding_window_shapes=[2], strides=2)
    yield define(name + "conv", PADDED, IMAGES, baselines=0.1, target=[2, 0], sliding_window_shapes=[1, 2, 3])
    yield define(name + "conv_strides", STRIDED, COLOURED, target=1, sliding_window_shapes=[1, 3, 3], strides=[1, 3, 2])
    yield define(name + "conv_all_channels", AVERAGED, PICTURES, target=0, sliding_window_shapes=[2, 2, 2],
                 strides=[2, 2, 2], perturbations_per_eval=4)
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=SKETCH, target=2, sliding_window_shapes=[1, 3, 3],
                 strides=[1, 3, 3])
    yield define(name + "dense_output", DENSE, TILES, target=PLACES, sliding_window_shapes=[1, 2, 2])
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGIN, target=1, sliding_window_shapes=[[2], [1]],
                 strides=[[1], [1]])
    yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=[1, 0], sliding_window_shapes=[[1, 2, 2], [2]],
                 strides=[[1, 2, 2], [1]])


def permuted():
    name = "FeaturePermutation/"
    yield define(name + "two_rows", SMOOTH, BATCH, target=1)
    yield define(name + "mask", RELUS, BATCH, target=[0, 2], feature_mask=[PAIRED])
    yield define(name + "single_output", SCORE, BATCH, perturbations_per_eval=2)
    yield define(name + "images", PADDED, IMAGES, target=[2, 0], perturbations_per_eval=25)
    yield define(name + "segments", DENSE, TILES, target=PLACES, feature_mask=[QUARTERS])
    yield define(name + "two_inputs", PAIR, TWO_OF_TWO, target=1)
    yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=0)

    name = "LayerFeaturePermutation/"
    yield define(name + "relu", RELUS, BATCH, target=1, layer="act1")
    yield define(name + "mask", SMOOTH, BATCH, target=[0, 2], layer="linear2", layer_mask=[PAIRED])
    yield define(name + "conv_channels", AVERAGED, PICTURES, target=2, layer="relu1",
                 layer_mask=[mask(1, 2, 1, 1, data=[0, 1])])
    yield define(name + "two_inputs", PAIR, TWO_OF_TWO, target=1, layer="both_act", perturbations_per_eval=2)


def in_coalitions():
    name = "ShapleyValues/"
    yield define(name + "zeros", RELUS, ROWS, target=[0, 2, 1])
    yield define(name + "number", SMOOTH, ROWS, baselines=0.25, target=1)
    yield define(name + "row", CURVED, ROWS, baselines=ORIGIN, target=2, perturbations_per_eval=3)
    yield define(name + "rows", SCORE, ROWS, baselines=ORIGINS)
    yield define(name + "mask", KINKY, ROWS, baselines=ORIGINS, target=1, feature_mask=[THREE])
    yield define(name + "segments", DENSE, TILES, target=PLACES, feature_mask=[QUARTERS])
    yield define(name + "max_pool", MAXIMA, SKETCHES, baselines=SKETCH, target=[0, 1],
                 feature_mask=[mask(1, 1, 6, 6, data=[row // 3 * 2 + column // 3 for row in range(6)
                                                      for column in range(6)])])
    yield define(name + "two_inputs", PAIR, TWO, baselines=TWO_ORIGINS, target=[0, 1, 2])
    yield define(name + "two_inputs_across", PAIR_SMOOTH, TWO, baselines=TWO_ORIGIN, target=2, feature_mask=ACROSS)
    yield define(name + "image_and_row", IMAGE_AND_ROW, MIXED, target=0, feature_mask=MIXED_PARTS)
    yield define(name + "reused", REUSED, ROWS, baselines=ORIGIN, target=2)


def drawn():
    for name in ["ShapleyValueSampling/", "KernelShap/"]:
        def case(case, model, inputs, tolerance=0.005, **rest):
            return statistical(name + case, model, inputs, tolerance, "the exact Shapley values", n_samples=1000,
                               **rest)

        one, two = sample(81, 1, 4), [sample(82, 1, 3), sample(83, 1, 2)]
        yield case("relu", RELUS, one, target=1)
        yield case("two_rows", SMOOTH, BATCH, baselines=0.25, target=[0, 2])
        yield case("mask", KINKY, one, 0.03, baselines=ORIGIN, target=2, feature_mask=[THREE])
        yield case("two_inputs_across", PAIR, two, baselines=TWO_ORIGIN, target=0, feature_mask=ACROSS)
        yield case("segments", DENSE, sample(84, 1, 1, 4, 4), target=[[0, 1, 0]], feature_mask=[QUARTERS])

    def case(name, model, inputs, tolerance=0.03, **rest):
        return statistical("Lime/" + name, model, inputs, tolerance, "the surrogate of all masks", n_samples=2000,
                           **rest)

    one, two = sample(81, 1, 4), [sample(82, 1, 3), sample(83, 1, 2)]
    yield case("lasso", RELUS, one, target=1)
    yield case("lasso_small_alpha", RELUS, one, baselines=ORIGIN, target=0, surrogate="lasso", alpha=0.001)
    yield case("ridge", RELUS, one, baselines=0.3, target=2, surrogate="ridge", alpha=1.0)
    yield case("linear", KINKY, one, baselines=ORIGIN, target=1, surrogate="linear")
    yield case("linear_euclidean", KINKY, one, target=0, surrogate="linear", distance_mode="euclidean",
               kernel_width=0.75)
    yield case("mask", RELUS, one, target=1, feature_mask=[THREE])
    yield case("two_rows", RELUS, BATCH, target=[1, 2])
    yield case("two_inputs_across", PAIR, two, baselines=TWO_ORIGIN, target=0, feature_mask=ACROSS)


def in_texts():
    """Token ids that become padding, and embeddings that become zero."""
    words = {"feature_mask": [WORDS]}
    yield define("FeatureAblation/bert_tokens", BERT, BERT_IDS, output="logits", **BERT_PADS)
    yield define("FeatureAblation/bert_words", BERT, BERT_IDS, output="probabilities", **words, **BERT_PADS)
    yield define("FeatureAblation/roberta_tokens", ROBERTA, ROBERTA_IDS, baselines=1, output="logits", target=0,
                 perturbations_per_eval=8)
    yield define("FeatureAblation/albert_masked", ALBERT, SHORT_IDS, forward_args=[SHORT_MASK, SHORT_TYPES],
                 baselines=reference(SHORT_IDS, 0), target=[1, 0], output="probabilities")
    yield define("Occlusion/bert_tokens", BERT, BERT_IDS, output="logits", sliding_window_shapes=[2], **BERT_PADS)
    yield define("Occlusion/roberta_tokens", ROBERTA, ROBERTA_IDS, baselines=1, output="probabilities", target=0,
                 sliding_window_shapes=[3], strides=[2])
    yield define("ShapleyValues/bert_words", BERT, BERT_IDS, output="probabilities", **words, **BERT_PADS)
    yield define("FeaturePermutation/bert_tokens", BERT, BERT_IDS, target=1, output="logits")
    yield define("LayerFeatureAblation/bert_embeddings", BERT, BERT_IDS, target=[2, 0], layer="embeddings",
                 output="logits", layer_mask=[mask(1, 7, 1, data=range(7))])
    yield define("LayerFeatureAblation/roberta_layer", ROBERTA, ROBERTA_IDS, target=0, layer="encoder.layer.0",
                 output="logits", layer_mask=[mask(1, 8, 1, data=[0, 1, 1, 2, 2, 3, 3, 4])], perturbations_per_eval=2)
    yield define("LayerFeaturePermutation/bert_embeddings", BERT, BERT_IDS, target=1, layer="embeddings",
                 output="logits", layer_mask=[mask(1, 7, 1, data=range(7))])
    yield define("LayerGradCam/bert_embeddings", BERT, BERT_IDS, target=[2, 0], layer="embeddings", output="logits")
    yield define("LayerGradCam/roberta_layer_tokens", ROBERTA, ROBERTA_IDS, target=0, layer="encoder.layer.1",
                 output="logits", attr_dim_summation=False)
    for name in ["ShapleyValueSampling", "KernelShap"]:
        yield statistical(f"{name}/bert_words", BERT, token_ids(BERT_IDS["data"][:7]), 0.02, "the exact Shapley values",
                          n_samples=500, baselines=token_ids(reference(BERT_IDS, 0)["data"][:7]), target=2,
                          output="probabilities", feature_mask=[WORDS])
