"""The cases of plain outputs, gradients, paths and the rescale rule."""

from classifiers import *
from networks import *


def input_cases():
    name = "IntegratedGradients/"
    for n_steps in [1, 2, 3, 5, 10, 50]:
        yield integral(f"{name}gausslegendre_{n_steps}", SMOOTH, ROWS, n_steps,
                       baselines=ORIGINS, target=[2, 0, 1])
    for quadrature in QUADRATURES:
        for n_steps in [2, 3, 10]:
            yield integral(f"{name}{quadrature}_{n_steps}", SMOOTH, ROWS, n_steps, quadrature,
                           baselines=ORIGINS, target=[2, 0, 1])
    yield integral(name + "relu_leaky_relu", KINKY, ROWS, 50, target=0)
    yield integral(name + "gelu_elu_softmax", CURVED, ROWS, 5, baselines=-0.25, target=2)
    yield integral(name + "single_output", SCORE, ROWS, 5, baselines=ORIGIN)
    yield integral(name + "local", CURVED, ROWS, 3, baselines=ORIGIN, target=1,
                   multiply_by_inputs=False)
    yield integral(name + "baseline_is_input", SMOOTH, ROWS, 3, baselines=ROWS, target=0)
    yield integral(name + "batch_not_dividing", SMOOTH, ROWS, 10, "riemann_middle",
                   target=[1, 1, 2], internal_batch_size=7)
    yield integral(name + "batch_below_examples", SMOOTH, ROWS, 3, baselines=ORIGIN, target=1,
                   internal_batch_size=1)
    yield integral(name + "conv_padded", PADDED, IMAGES, 10, target=[2, 0])
    yield integral(name + "conv_strided", STRIDED, COLOURED, 5, baselines=0.5, target=1)
    yield integral(name + "dense_output", DENSE, TILES, 5, target=PLACES)
    yield integral(name + "relu_kinks_left", kinks("relu"), KINKED, 2, "riemann_left", target=1)
    yield integral(name + "relu_kinks_trapezoid", kinks("relu"), KINKED, 3, "riemann_trapezoid",
                   target=0)

    name = "Saliency/"
    yield define(name + "softmax", SMOOTH, ROWS, target=[0, 1, 2])
    yield define(name + "single_output_signed", SCORE, ROWS, abs=False)
    yield define(name + "dense_output_signed", DENSE, TILES, target=PLACES, abs=False)
    yield define(name + "conv_overlapped", OVERLAPPED, GREY, target=0, abs=False)
    yield define(name + "max_pool_ties", TIED, TIES, target=1, abs=False)
    for kind in ["relu", "leaky_relu", "elu"]:
        yield define(f"{name}{kind}_kinks", kinks(kind), KINKED, target=1, abs=False)
    for kind in ["elu", "softplus", "gelu"]:
        yield define(f"{name}{kind}_extreme", mlp(15, kind, kind, softmax=False), EXTREME, target=2,
                   abs=False)

    name = "InputXGradient/"
    yield define(name + "gelu_elu_softmax", CURVED, ROWS, target=[1, 2, 0])
    yield define(name + "relu_kinks", kinks("relu"), KINKED, target=1)
    yield define(name + "conv_strided", STRIDED, COLOURED, target=0)


def rescaled_cases():
    name = "DeepLift/"
    yield define(name + "softmax", SMOOTH, ROWS, baselines=ORIGINS, target=[2, 0, 1])
    yield define(name + "relu_leaky_relu", KINKY, ROWS, target=0)
    yield define(name + "softplus_single_output", SCORE, ROWS, baselines=ORIGIN)
    yield define(name + "elu_sigmoid", mlp(16, "elu", "sigmoid", softmax=False), ROWS, baselines=0.3, target=2)
    yield define(name + "local", SMOOTH, ROWS, baselines=ORIGIN, target=1, multiply_by_inputs=False)
    yield define(name + "baseline_is_input", KINKY, ROWS, baselines=ROWS, target=1)
    yield define(name + "relu_kinks", kinks("relu"), KINKED, target=1)
    yield define(name + "max_pool", POOLED, GREY, baselines=sample(35, 2, 1, 7, 7), target=[1, 0])
    yield define(name + "max_pool_after_relu", PADDED, IMAGES, baselines=0.2, target=[2, 0])
    yield define(name + "avg_pool_softmax", STRIDED, COLOURED, target=1)
    yield define(name + "dense_output", DENSE, TILES, baselines=0.5, target=PLACES)


def layer_cases():
    name = "LayerActivation/"
    yield define(name + "gelu", CURVED, ROWS, layer="act1")
    yield define(name + "softmax_extreme", mlp(15, "elu", "elu"), EXTREME, layer="softmax")
    yield define(name + "conv_strided", STRIDED, COLOURED, layer="conv1")
    yield define(name + "flatten_input", PADDED, IMAGES, layer="flatten",
               attribute_to_layer_input=True)

    name = "LayerGradientXActivation/"
    yield define(name + "relu_kinks", kinks("relu"), KINKED, target=1, layer="linear1")
    yield define(name + "local", CURVED, ROWS, target=[0, 0, 2], layer="act2",
               multiply_by_inputs=False)
    yield define(name + "conv_max_pool", PADDED, IMAGES, target=1, layer="pool1")
    yield define(name + "flatten_input", STRIDED, COLOURED, target=1, layer="flatten",
               attribute_to_layer_input=True)

    name = "LayerIntegratedGradients/"
    yield integral(name + "linear1", SMOOTH, ROWS, 3, baselines=ORIGINS, target=[2, 0, 1],
                   layer="linear1")
    yield integral(name + "relu_trapezoid", KINKY, ROWS, 10, "riemann_trapezoid", baselines=0.1,
                   target=2, layer="act1")
    yield integral(name + "output_layer", SMOOTH, ROWS, 2, target=1, layer="softmax")
    yield integral(name + "local", CURVED, ROWS, 5, "riemann_right", baselines=ORIGIN, target=0,
                   layer="linear2", multiply_by_inputs=False)
    yield integral(name + "act2_input_batched", CURVED, ROWS, 5, baselines=ORIGIN, target=1,
                   layer="act2", attribute_to_layer_input=True, internal_batch_size=6)
    yield integral(name + "conv_overlapped", OVERLAPPED, GREY, 10, target=1, layer="softplus1")
    yield integral(name + "dense_output", DENSE, TILES, 3, target=PLACES, layer="conv1")

    name = "LayerConductance/"
    yield integral(name + "sigmoid", SMOOTH, ROWS, 50, baselines=ORIGINS, target=[2, 0, 1],
                   layer="act2")
    yield integral(name + "one_step", SMOOTH, ROWS, 1, target=0, layer="act1")
    yield integral(name + "one_step_right", SMOOTH, ROWS, 1, "riemann_right", target=0,
                   layer="act1")
    yield integral(name + "gelu_trapezoid", CURVED, ROWS, 10, "riemann_trapezoid", baselines=0.3,
                   target=2, layer="act1")
    yield integral(name + "model_input", CURVED, ROWS, 3, "riemann_left", baselines=ORIGIN,
                   target=1, layer="linear1", attribute_to_layer_input=True)
    yield integral(name + "batched", SMOOTH, ROWS, 5, "riemann_middle", target=2, layer="linear2",
                   internal_batch_size=8)
    yield integral(name + "relu_kinks", kinks("relu"), KINKED, 2, "riemann_trapezoid", target=1,
                   layer="linear1")
    yield integral(name + "conv_max_pool", PADDED, IMAGES, 5, target=[0, 1], layer="pool1")

    name = "InternalInfluence/"
    yield integral(name + "softplus_left", SCORE, ROWS, 3, "riemann_left", baselines=ORIGIN,
                   layer="act1")
    yield integral(name + "linear2_batched", SMOOTH, ROWS, 5, target=[0, 2, 1], layer="linear2",
                   internal_batch_size=9)
    yield integral(name + "relu_kinks", kinks("relu"), KINKED, 3, "riemann_trapezoid", target=0,
                   layer="linear1")
    yield integral(name + "conv_strided", STRIDED, COLOURED, 2, "riemann_middle", target=0,
                   layer="pool1")


def neuron_cases():
    name = "NeuronGradient/"
    yield define(name + "relu_kinks", kinks("relu"), KINKED, layer="act1", neuron=[1])
    yield define(name + "output", SMOOTH, ROWS, layer="softmax", neuron=[2])
    yield define(name + "conv", PADDED, IMAGES, layer="relu1", neuron=[1, 2, 3])
    yield define(name + "flatten_input", PADDED, IMAGES, layer="flatten", neuron=[2, 0, 0],
               attribute_to_neuron_input=True)

    name = "NeuronIntegratedGradients/"
    yield integral(name + "gelu", CURVED, ROWS, 5, baselines=ORIGIN, layer="act1", neuron=[3])
    yield integral(name + "local_batched", SMOOTH, ROWS, 10, "riemann_right", baselines=0.2,
                   layer="linear2", neuron=[0], multiply_by_inputs=False, internal_batch_size=12)
    yield integral(name + "conv_overlapped", OVERLAPPED, GREY, 3, layer="pool1", neuron=[0, 1, 2])

    name = "NeuronConductance/"
    yield integral(name + "sigmoid_trapezoid", SMOOTH, ROWS, 50, "riemann_trapezoid", target=1,
                   layer="act2", neuron=[3])
    yield integral(name + "gelu", CURVED, ROWS, 3, baselines=ORIGINS, target=[2, 1, 0],
                   layer="act1", neuron=[4])
    yield integral(name + "one_step", SMOOTH, ROWS, 1, target=0, layer="linear1", neuron=[2])
    yield integral(name + "local", CURVED, ROWS, 5, "riemann_left", baselines=ORIGIN, target=2,
                   layer="act2", neuron=[1], multiply_by_inputs=False)
    yield integral(name + "act2_input_batched", SMOOTH, ROWS, 5, "riemann_middle", baselines=0.5,
                   target=1, layer="act2", neuron=[0], attribute_to_neuron_input=True,
                   internal_batch_size=6)
    yield integral(name + "conv", STRIDED, COLOURED, 5, target=1, layer="conv1", neuron=[2, 1, 3])
    yield integral(name + "relu_kinks", kinks("relu"), KINKED, 3, "riemann_trapezoid", target=1,
                   layer="act1", neuron=[0])


def text_cases():
    every = {
        "tiny_bert": (BERT, BERT_IDS),
        "old_bert": (OLD_BERT, BERT_IDS),
        "tiny_roberta": (ROBERTA, ROBERTA_IDS),
        "tiny_distilbert": (DISTILBERT, DISTILBERT_IDS),
    }
    for name, (model, ids) in every.items():
        yield define(f"Forward/{name}", model, ids, output="logits")
    yield define("Forward/tiny_roberta_sigmoid", ROBERTA, ROBERTA_IDS, output="probabilities")

    layers = [("bert", BERT, BERT_IDS, [2, 0], "encoder.layer", "probabilities"),
              ("roberta", ROBERTA, ROBERTA_IDS, None, "encoder.layer", "probabilities"),
              ("distilbert", DISTILBERT, DISTILBERT_IDS, 1, "transformer.layer", "logits")]
    for name, model, ids, target, block, output in layers:
        for index in range(2):
            yield define(f"LayerActivation/{name}_{index}", model, ids, layer=f"{block}.{index}",
                         output=output)
            yield define(f"LayerGradientXActivation/{name}_{index}", model, ids, target=target,
                         layer=f"{block}.{index}", output=output)

    name = "LayerIntegratedGradients/"
    words = "embeddings.word_embeddings"
    bert = {"baselines": reference(BERT_IDS, 0), "target": [2, 1]}
    yield integral(name + "bert_embeddings", BERT, BERT_IDS, 50, layer="embeddings",
                   output="probabilities", **bert)
    yield integral(name + "bert_embeddings_logits", BERT, BERT_IDS, 50, layer="embeddings",
                   output="logits", **bert)
    yield integral(name + "bert_words", BERT, BERT_IDS, 50, layer=words, output="probabilities",
                   **bert)
    roberta = {"baselines": reference(ROBERTA_IDS, 1)}
    yield integral(name + "roberta_embeddings_riemann", ROBERTA, ROBERTA_IDS, 500,
                   "riemann_middle", layer="embeddings", output="probabilities",
                   internal_batch_size=3, **roberta)
    yield integral(name + "roberta_embeddings_logits", ROBERTA, ROBERTA_IDS, 50, target=0,
                   layer="embeddings", output="logits", **roberta)
    yield integral(name + "roberta_words", ROBERTA, ROBERTA_IDS, 50, target=0, layer=words,
                   output="probabilities", **roberta)
    distilbert = {"baselines": reference(DISTILBERT_IDS, 0), "target": 1}
    yield integral(name + "distilbert_embeddings", DISTILBERT, DISTILBERT_IDS, 50,
                   layer="embeddings", output="probabilities", **distilbert)
    yield integral(name + "distilbert_words", DISTILBERT, DISTILBERT_IDS, 50, layer=words,
                   output="logits", **distilbert)


def passes(prefix, count):
    return [f"{prefix}.{index}" for index in range(count)]


def family_cases():
    """Of each family: logits, gradients at the embeddings and at every layer, and paths between embeddings."""
    short, typed = [SHORT_MASK], [SHORT_MASK, SHORT_TYPES]
    encoder = passes("encoder.layer", 2)
    families = {  # ids, what is given along, id of padding, layers
        "xlm_roberta": (ROBERTA_IDS, [ROBERTA_MASK], 1, encoder),
        "camembert": (ROBERTA_IDS, [ROBERTA_MASK], 1, encoder),
        "electra": (SHORT_IDS, typed, 0, ["embeddings_project", *encoder]),
        "albert": (SHORT_IDS, typed, 0, ["encoder.embedding_hidden_mapping_in", *passes("encoder.layer", 6)]),
        "deberta_v2": (SHORT_IDS, typed, 0, [*encoder, "encoder.conv"]),
        "deberta_v3": (LONG_IDS, [LONG_MASK], 1, encoder),
        "mpnet": (LONG_IDS, [LONG_MASK], 1, encoder),
        "modernbert": (SHORT_IDS, short, 0, [*passes("layers", 4), "final_norm"]),
        "roberta_prelayernorm": (ROBERTA_IDS, [ROBERTA_MASK], 1, [*encoder, "LayerNorm"]),
        "data2vec_text": (ROBERTA_IDS, [ROBERTA_MASK], 1, encoder),
        "biased_modernbert": (SHORT_IDS, short, 0, passes("layers", 3)),
    }
    for name, (ids, given, pad, layers) in families.items():
        folder = name.replace("_", "-")
        folder = folder if name.startswith("biased") else f"tiny-{folder}"
        model = {"kind": "huggingface", "path": f"checkpoints/{folder}"}
        yield define(f"Forward/{name}", model, ids, output="logits")
        yield define(f"Forward/{name}_masked", model, ids, forward_args=given, output="logits")
        words = "embeddings.tok_embeddings" if "modernbert" in name else "embeddings.word_embeddings"
        yield define(f"LayerGradientXActivation/{name}_gradient", model, ids, forward_args=given, target=[1, 0],
                     layer="embeddings", output="logits", multiply_by_inputs=False)
        for layer in layers:
            case = f"{name}_{layer.replace('.', '_')}"
            yield define(f"LayerActivation/{case}", model, ids, forward_args=given, layer=layer, output="logits")
            yield define(f"LayerGradientXActivation/{case}", model, ids, forward_args=given, target=1, layer=layer,
                         output="probabilities")
        path = {"forward_args": given, "baselines": reference(ids, pad), "target": [1, 0]}
        yield integral(f"LayerIntegratedGradients/{name}_embeddings", model, ids, 50, layer="embeddings",
                       output="probabilities", **path)
        yield integral(f"LayerIntegratedGradients/{name}_words", model, ids, 20, layer=words, output="logits", **path)


def every():
    return [*input_cases(), *rescaled_cases(), *layer_cases(), *neuron_cases(), *text_cases(), *family_cases()]
