#!/usr/bin/env python3
"""Computes the reference cases of this folder with Captum, in float64.

    python tests/golden/generate.py            # write <Method>/<case>.json and checkpoints/
    python tests/golden/generate.py --check    # compare them with a fresh computation

README.md describes the form of a case and requirements.txt pins the versions.
Weights and inputs have three decimals (those of a checkpoint, ten bits), so the
numbers in a file are exactly those that Captum was given.
"""

import argparse
import copy
import io
import json
import math
import pathlib
import random
import sys
import tempfile
import warnings

import captum.attr
import safetensors.torch
import torch
import transformers
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-6
# transformers computes ModernBERT's rotations and softmax in float32, whatever the type of the rest.
TOLERANCE_OF_SINGLE = 1e-5
QUADRATURES = ["riemann_left", "riemann_middle", "riemann_right", "riemann_trapezoid"]
WITH_DELTA = {"IntegratedGradients", "DeepLift", "LayerIntegratedGradients", "LayerConductance"}


# Building blocks. A layer is written as it stands in the file.


def tensor(*shape, data):
    return {"shape": list(shape), "data": [float(x) for x in data]}


def draw(rng, *shape):
    """Uniform in [-1, 1]; only `random()`, whose sequence Python guarantees."""
    return tensor(*shape, data=[round(2 * rng.random() - 1, 3) for _ in range(math.prod(shape))])


def sample(seed, *shape):
    return draw(random.Random(seed), *shape)


def layer(name, kind, **sizes):
    return {"name": name, "type": kind, **sizes}


def linear(name, n_in, n_out, **given):
    return layer(name, "linear", **{"in": n_in}, out=n_out, **given)


def conv2d(name, n_in, n_out, kernel, **sizes):
    return layer(name, "conv2d", **{"in": n_in}, out=n_out, kernel=kernel, **sizes)


def network(seed, *layers):
    """Fills in, in order, the weights that were not given."""
    rng = random.Random(seed)
    for spec in layers:
        if "in" in spec and "weight" not in spec:
            window = [spec["kernel"]] * 2 if spec["type"] == "conv2d" else []
            spec["weight"] = draw(rng, spec["out"], spec["in"], *window)
            spec["bias"] = draw(rng, spec["out"])
    return {"kind": "sequential", "layers": list(layers)}


# Models.


def activation(name, kind):
    return layer(name, kind, slope=0.2) if kind == "leaky_relu" else layer(name, kind)


def mlp(seed, first, second, softmax=True, outputs=3):
    """4 -> 5 -> 4 -> outputs."""
    head = [layer("softmax", "softmax")] if softmax else []
    return network(
        seed,
        linear("linear1", 4, 5),
        activation("act1", first),
        linear("linear2", 5, 4),
        activation("act2", second),
        linear("linear3", 4, outputs),
        *head,
    )


def kinks(kind):
    """Whole-number weights: KINKED and the paths to it from 0 meet the kink exactly.

    Path points stay exact for the steps 0, 1/2 and 1, in any order of summation.
    """
    return network(
        0,
        linear(
            "linear1", 3, 4,
            weight=tensor(4, 3, data=[1, -1, 0, 1, 1, -1, 0, 2, -1, 1, 0, 0]),
            bias=tensor(4, data=[0, 0, -1, -1]),
        ),
        activation("act1", kind),
        linear(
            "linear2", 4, 2,
            weight=tensor(2, 4, data=[1, -2, 3, -1, 2, 1, -1, 4]),
            bias=tensor(2, data=[0, 1]),
        ),
    )


KINKED = tensor(3, 3, data=[1, 1, 2, 0, 0, 0, 2, 1, 1])

PADDED = network(  # 1x5x5 -> 2x5x5 -> 2x2x2 (the last row and column are dropped) -> 3x1x1
    21,
    conv2d("conv1", 1, 2, 3, padding=1),
    layer("relu1", "relu"),
    layer("pool1", "max_pool2d", kernel=2),
    conv2d("conv2", 2, 3, 2),
    layer("elu2", "elu"),
    layer("flatten", "flatten"),
    linear("fc", 3, 3),
)
IMAGES = sample(31, 2, 1, 5, 5)

STRIDED = network(  # 2x7x7 -> 3x4x4 -> 3x3x3, windows that overlap
    22,
    conv2d("conv1", 2, 3, 3, stride=2, padding=1),
    layer("tanh1", "tanh"),
    layer("pool1", "avg_pool2d", kernel=2, stride=1),
    layer("flatten", "flatten"),
    linear("fc", 27, 2),
    layer("softmax", "softmax"),
)
COLOURED = sample(32, 2, 2, 7, 7)

OVERLAPPED = network(  # 1x7x7 -> 1x7x7 -> 1x3x3, maxima shared by windows
    23,
    conv2d("conv1", 1, 1, 1),
    layer("softplus1", "softplus"),
    layer("pool1", "max_pool2d", kernel=3, stride=2),
    layer("flatten", "flatten"),
    linear("fc", 9, 2),
)
GREY = sample(33, 2, 1, 7, 7)

DENSE = network(  # 1x4x4 -> 2x4x4 -> 3x2x2: one distribution over 3 classes per place
    24,
    conv2d("conv1", 1, 2, 3, padding=1),
    layer("softplus1", "softplus"),
    conv2d("conv2", 2, 3, 2, stride=2),
    layer("softmax", "softmax"),
)
TILES = sample(34, 2, 1, 4, 4)
PLACES = [[0, 1, 0], [2, 0, 1]]

POOLED = network(  # 1x7x7 -> 2x5x5 -> 2x2x2: maxima of what no nonlinear layer has made
    26,
    conv2d("conv1", 1, 2, 3),
    layer("pool1", "max_pool2d", kernel=2),
    layer("flatten", "flatten"),
    linear("fc", 8, 3),
    layer("tanh", "tanh"),
    linear("head", 3, 2),
)

TIED = network(
    25,
    layer("pool1", "max_pool2d", kernel=2),
    layer("flatten", "flatten"),
    linear("fc", 4, 2),
)
TIES = tensor(1, 1, 4, 4, data=[1, 1, 0, 2, 1, 1, 2, 0, 3, 0, -1, -1, 3, 3, -1, 0])

SMOOTH = mlp(11, "tanh", "sigmoid")
KINKY = mlp(12, "relu", "leaky_relu", softmax=False)
CURVED = mlp(13, "gelu", "elu")
SCORE = mlp(14, "softplus", "tanh", softmax=False, outputs=1)
ROWS = sample(41, 3, 4)
ORIGINS = sample(42, 3, 4)
ORIGIN = sample(43, 1, 4)
EXTREME = tensor(2, 4, data=[1500, -900, 1200, 700, -1100, 1300, -800, -1400])


# Checkpoints of text classifiers. The second of the two texts has padding inside and at its end.


def token_ids(*rows):
    return {"shape": [len(rows), len(rows[0])], "data": sum(rows, []), "dtype": "i64"}


def reference(ids, pad):
    """Padding everywhere but in the first and the last column."""
    _, width = ids["shape"]
    kept = [token if i % width in (0, width - 1) else pad for i, token in enumerate(ids["data"])]
    return {**ids, "data": kept}


BERT = {"kind": "huggingface", "path": "checkpoints/tiny-bert"}
OLD_BERT = {"kind": "huggingface", "path": "checkpoints/old-bert"}
BERT_IDS = token_ids([58, 7, 31, 44, 12, 31, 59], [58, 25, 0, 9, 59, 0, 0])
ROBERTA = {"kind": "huggingface", "path": "checkpoints/tiny-roberta"}
ROBERTA_IDS = token_ids([0, 17, 52, 8, 33, 17, 41, 2], [0, 29, 1, 1, 46, 2, 1, 1])
DISTILBERT = {"kind": "huggingface", "path": "checkpoints/tiny-distilbert"}
DISTILBERT_IDS = token_ids([3, 20, 55, 36, 14, 4], [3, 0, 47, 4, 0, 0])

# Families of which every case has a mask, and token types where the family has them.
SHORT_IDS = token_ids([2, 17, 5, 9, 31, 12, 3], [2, 44, 3, 8, 3, 0, 0])
SHORT_MASK = token_ids([1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0])
SHORT_TYPES = token_ids([0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0])
ROBERTA_MASK = token_ids([1] * 8, [1, 1, 0, 0, 1, 1, 0, 0])
LONG_IDS = token_ids([0, 17, 52, 8, 33, 17, 41, 9, 55, 20, 21, 36, 2],
                     [0, 29, 11, 46, 30, 58, 13, 13, 46, 2, 1, 1, 1])
LONG_MASK = token_ids([1] * 13, [1] * 10 + [0] * 3)

TINY_BERT = transformers.BertConfig(
    architectures=["BertForSequenceClassification"],
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=32, max_position_embeddings=12, pad_token_id=0,
    id2label={0: "negative", 1: "neutral", 2: "positive"},
    label2id={"negative": 0, "neutral": 1, "positive": 2},
)
TINY_ROBERTA = transformers.RobertaConfig(
    architectures=["RobertaForSequenceClassification"],
    vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
    intermediate_size=40, max_position_embeddings=14, type_vocab_size=1,
    layer_norm_eps=1e-5, bos_token_id=0, pad_token_id=1, eos_token_id=2, num_labels=1,
)
TINY_DISTILBERT = transformers.DistilBertConfig(
    architectures=["DistilBertForSequenceClassification"],
    vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=10,
    pad_token_id=0, num_labels=2,
)
SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24, "pad_token_id": 0, "num_labels": 2}
LIKE_ROBERTA = SMALL | {"max_position_embeddings": 12, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
                        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
TINY_XLM_ROBERTA = transformers.XLMRobertaConfig(
    architectures=["XLMRobertaForSequenceClassification"], **LIKE_ROBERTA)
TINY_CAMEMBERT = transformers.CamembertConfig(
    architectures=["CamembertForSequenceClassification"], **LIKE_ROBERTA)
TINY_ROBERTA_PRELAYERNORM = transformers.RobertaPreLayerNormConfig(
    architectures=["RobertaPreLayerNormForSequenceClassification"], **LIKE_ROBERTA | {"type_vocab_size": 2})
TINY_DATA2VEC_TEXT = transformers.Data2VecTextConfig(
    architectures=["Data2VecTextForSequenceClassification"], **LIKE_ROBERTA | {"type_vocab_size": 2})
TINY_ELECTRA = transformers.ElectraConfig(
    architectures=["ElectraForSequenceClassification"], **SMALL, embedding_size=10, max_position_embeddings=12)
TINY_ALBERT = transformers.AlbertConfig(
    architectures=["AlbertForSequenceClassification"], **SMALL | {"num_hidden_layers": 3}, embedding_size=10,
    num_hidden_groups=2, inner_group_num=2, max_position_embeddings=12)
TINY_DEBERTA_V2 = transformers.DebertaV2Config(
    architectures=["DebertaV2ForSequenceClassification"], **SMALL, embedding_size=10, max_position_embeddings=12,
    type_vocab_size=2, relative_attention=True, pos_att_type=["c2p", "p2c"], conv_kernel_size=3, conv_groups=2,
    conv_act="gelu")
TINY_DEBERTA_V3 = transformers.DebertaV2Config(
    architectures=["DebertaV2ForSequenceClassification"], **SMALL, max_position_embeddings=16,
    relative_attention=True, pos_att_type="p2c|c2p", position_buckets=6, norm_rel_ebd="layer_norm",
    share_att_key=True, position_biased_input=False)
TINY_MPNET = transformers.MPNetConfig(
    architectures=["MPNetForSequenceClassification"], **SMALL | {"pad_token_id": 1}, max_position_embeddings=16)
TINY_MODERNBERT = transformers.ModernBertConfig(
    architectures=["ModernBertForSequenceClassification"], **SMALL | {"num_hidden_layers": 4},
    max_position_embeddings=16, local_attention=4, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
BIASED_MODERNBERT = transformers.ModernBertConfig(
    architectures=["ModernBertForSequenceClassification"], **SMALL | {"num_hidden_layers": 3},
    max_position_embeddings=16, local_attention=6, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
    attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, classifier_pooling="mean",
    classifier_activation="tanh", hidden_activation="silu", norm_eps=1e-3, global_attn_every_n_layers=2,
    global_rope_theta=500.0, local_rope_theta=50.0)


def weights(seed, config):
    """By name; multiples of 2^-10 in [-1/2, 1/2], the scales of the layer norms 1 more.

    Whole numbers come out of a seed alike on every processor, which draws from a normal
    distribution need not.
    """
    state = transformers.AutoModelForSequenceClassification.from_config(config).state_dict()
    torch.manual_seed(seed)
    drawn = {}
    for name in sorted(state):
        shift = 1 if "norm" in name.lower() and name.endswith(".weight") else 0
        drawn[name] = torch.randint(-512, 513, state[name].shape) / 1024 + shift
    return drawn


def checkpoint(config, named):
    """The files of a checkpoint, `config` being its settings."""
    return {
        "config.json": (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
        "model.safetensors": safetensors.torch.save(named, metadata={"format": "pt"}),
    }


def old_checkpoint(config, named):
    """The same model as old checkpoints spell it, with tensors that it does not need."""
    config = {key: value for key, value in config.items()
              if key not in ("layer_norm_eps", "pad_token_id", "transformers_version")}
    config["position_embedding_type"] = "absolute"
    named = {name.replace("LayerNorm.weight", "LayerNorm.gamma")
             .replace("LayerNorm.bias", "LayerNorm.beta"): value for name, value in named.items()}
    named["bert.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    named["cls.predictions.bias"] = torch.arange(config["vocab_size"]) / 64
    return checkpoint(config, named)


def modernbert_as_published(config):
    """The configuration as transformers before 5 writes it."""
    config = {key: value for key, value in config.items() if key not in ("layer_types", "rope_parameters")}
    return config | {"global_attn_every_n_layers": 2, "global_rope_theta": 500.0, "local_rope_theta": 50.0}


def pickled(config, named):
    """`pytorch_model.bin`: the state dict of the model with these weights, by `torch.save`."""
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.load_state_dict(named)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def checkpoints():
    """Every file of `checkpoints/`, by its path in this folder."""
    folders = {}
    for name, seed, config in [("tiny-bert", 51, TINY_BERT), ("tiny-roberta", 52, TINY_ROBERTA),
                               ("tiny-distilbert", 53, TINY_DISTILBERT),
                               ("tiny-xlm-roberta", 54, TINY_XLM_ROBERTA),
                               ("tiny-camembert", 55, TINY_CAMEMBERT), ("tiny-electra", 56, TINY_ELECTRA),
                               ("tiny-albert", 57, TINY_ALBERT), ("tiny-deberta-v2", 58, TINY_DEBERTA_V2),
                               ("tiny-deberta-v3", 59, TINY_DEBERTA_V3), ("tiny-mpnet", 60, TINY_MPNET),
                               ("tiny-modernbert", 61, TINY_MODERNBERT),
                               ("tiny-roberta-prelayernorm", 63, TINY_ROBERTA_PRELAYERNORM),
                               ("tiny-data2vec-text", 64, TINY_DATA2VEC_TEXT)]:
        folders[name] = checkpoint(config.to_diff_dict(), weights(seed, config))
    folders["old-bert"] = old_checkpoint(TINY_BERT.to_diff_dict(), weights(51, TINY_BERT))
    folders["pickled-roberta"] = {
        "config.json": folders["tiny-roberta"]["config.json"],
        "pytorch_model.bin": pickled(TINY_ROBERTA, weights(52, TINY_ROBERTA)),
    }
    folders["biased-modernbert"] = checkpoint(
        modernbert_as_published(BIASED_MODERNBERT.to_diff_dict()), weights(62, BIASED_MODERNBERT))
    return {f"checkpoints/{folder}/{file}": content
            for folder, files in folders.items() for file, content in files.items()}


# Cases.


def define(name, model, inputs, *, forward_args=None, baselines=None, target=None, layer=None, neuron=None, **args):
    """One case without its results; `name` is Method/case."""
    if isinstance(baselines, dict):
        baselines = [baselines]
    case = {
        "name": name,
        "method": name.split("/")[0],
        "model": model,
        "inputs": [inputs],
        "baselines": baselines,
        "target": target,
        "layer": layer,
        "neuron": neuron,
        "args": args,
    }
    return case | {"forward_args": forward_args} if forward_args else case


def integral(name, model, inputs, n_steps, quadrature="gausslegendre", **rest):
    return define(name, model, inputs, n_steps=n_steps, quadrature=quadrature, **rest)


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


# Captum's side.


def to_torch(spec):
    dtype = torch.int64 if spec.get("dtype") == "i64" else torch.float64
    return torch.tensor(spec["data"], dtype=dtype).reshape(spec["shape"])


class Classifier(nn.Module):
    """A checkpoint that takes token ids, a mask and token types if any, and gives what `output` says."""

    def __init__(self, folder, output):
        super().__init__()
        self.net, info = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        assert not info["missing_keys"] and not info["mismatched_keys"], info
        self.net.double().eval()
        self.output = output
        if self.net.config.model_type == "albert":
            self.untie()

    def untie(self):
        """Gives each pass through ALBERT's layers a copy of its own, so that it can be told from the others."""
        encoder, config = self.net.albert.encoder, self.net.config
        passes, groups = config.num_hidden_layers, config.num_hidden_groups
        encoder.albert_layer_groups = nn.ModuleList(
            copy.deepcopy(encoder.albert_layer_groups[int(index / (passes / groups))]) for index in range(passes))
        encoder.config.num_hidden_groups = passes

    def forward(self, ids, mask=None, types=None):
        types = {} if types is None else {"token_type_ids": types}
        logits = self.net(input_ids=ids, attention_mask=mask, **types).logits
        if self.output == "logits":
            return logits
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)

    def get_submodule(self, target):
        kind, (*prefix, last) = self.net.config.model_type, target.split(".")
        if prefix == ["encoder", "layer"] and kind == "albert":
            group, inner = divmod(int(last), self.net.config.inner_group_num)
            target = f"encoder.albert_layer_groups.{group}.albert_layers.{inner}"
        elif prefix == ["encoder", "layer"] and kind in ("deberta-v2", "mpnet"):
            target += ".output"  # the layer itself gives a tuple
        return self.net.base_model.get_submodule(target)


def build(case, folder):
    """The model of a case as a torch module in float64; `folder` holds the checkpoints."""
    model = case["model"]
    if model["kind"] == "huggingface":
        return Classifier(folder / model["path"], case["args"]["output"])
    net = nn.Sequential()
    for spec in model["layers"]:
        kind = spec["type"]
        if kind == "linear":
            module = nn.Linear(spec["in"], spec["out"])
        elif kind == "conv2d":
            module = nn.Conv2d(spec["in"], spec["out"], spec["kernel"],
                               spec.get("stride", 1), spec.get("padding", 0))
        elif kind in ("max_pool2d", "avg_pool2d"):
            pool = nn.MaxPool2d if kind == "max_pool2d" else nn.AvgPool2d
            module = pool(spec["kernel"], spec.get("stride"))
        elif kind == "leaky_relu":
            module = nn.LeakyReLU(spec["slope"])
        elif kind == "softmax":
            module = nn.Softmax(dim=1)
        else:
            module = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
                      "softplus": nn.Softplus, "elu": nn.ELU, "gelu": nn.GELU,
                      "flatten": nn.Flatten}[kind]()
        module.double()  # before the weights, which would be rounded to float32 otherwise
        if "weight" in spec:
            module.load_state_dict({key: to_torch(spec[key]) for key in ("weight", "bias")})
        net.add_module(spec["name"], module)
    return net


def to_file(values):
    """Nine significant digits; rounding noise below 1e-12 becomes 0 to keep files stable."""
    data = [float(f"{x:.9g}") if abs(x) >= 1e-12 else 0.0 for x in values.flatten().tolist()]
    return tensor(*values.shape, data=data)


def attribute(case, folder):
    """Asks Captum; an argument that the case leaves out keeps Captum's default."""
    net = build(case, folder)
    inputs = to_torch(case["inputs"][0])
    given = tuple(map(to_torch, case.get("forward_args", ())))
    if case["method"] == "Forward":
        return {"attributions": [to_file(net(inputs, *given))]}
    args = {key: value for key, value in case["args"].items() if key != "output"}
    options = {}
    if "multiply_by_inputs" in args:
        options["multiply_by_inputs"] = args.pop("multiply_by_inputs")
    if given:
        args["additional_forward_args"] = given
    if case["layer"] is not None:
        options["layer"] = net.get_submodule(case["layer"])
    if case["neuron"] is not None:
        args["neuron_selector"] = tuple(case["neuron"])
    if "quadrature" in args:
        args["method"] = args.pop("quadrature")
    if isinstance(case["baselines"], list):
        args["baselines"] = to_torch(case["baselines"][0])
    elif case["baselines"] is not None:
        args["baselines"] = case["baselines"]
    if isinstance(case["target"], list):
        args["target"] = [tuple(t) if isinstance(t, list) else t for t in case["target"]]
    elif case["target"] is not None:
        args["target"] = case["target"]

    method = getattr(captum.attr, case["method"])(net, **options)
    inputs.requires_grad_(inputs.is_floating_point())
    # Without the factor (input - baseline) attributions do not add up to a difference.
    if case["method"] in WITH_DELTA and options.get("multiply_by_inputs", True):
        attributions, delta = method.attribute(inputs, return_convergence_delta=True, **args)
        return {"attributions": [to_file(attributions)], "convergence_delta": to_file(delta)}
    return {"attributions": [to_file(method.attribute(inputs, **args))]}


def same(a, b):
    """Equal but for the last digits, which may differ between processors."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-11)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def same_file(path, content):
    """The same bytes; in a pickle the same tensors, as PyTorch may pack them in another way."""
    if path.suffix != ".bin":
        return path.read_bytes() == content
    there, made = torch.load(path, weights_only=True), torch.load(io.BytesIO(content))
    return there.keys() == made.keys() and all(
        there[name].dtype == made[name].dtype and torch.equal(there[name], made[name])
        for name in made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    # Captum says that it enlarges an internal batch smaller than its minimum, and that ids have
    # no gradient; transformers, that there is padding without a mask.
    warnings.filterwarnings("ignore", message="[\\s\\S]*nternal batch size")
    warnings.filterwarnings("ignore", message="Input Tensor 0 has a dtype of torch.int64")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    cases = [*input_cases(), *rescaled_cases(), *layer_cases(), *neuron_cases(), *text_cases(),
             *family_cases()]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = checkpoints()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        for case in cases:
            single = "modernbert" in case["model"].get("path", "")
            case |= {"expected": attribute(case, folder), "tolerance": TOLERANCE_OF_SINGLE if single else TOLERANCE}

    present = {path.relative_to(HERE).as_posix() for pattern in ("*/*.json", "checkpoints/*/*")
               for path in HERE.glob(pattern)}
    wrong = sorted(present - {f"{case['name']}.json" for case in cases} - set(files))
    for name, content in files.items():
        path = HERE / name
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or not same_file(path, content):
            wrong.append(name)
    for case in cases:
        path = HERE / f"{case['name']}.json"
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(case, separators=(",", ":")) + "\n", encoding="utf-8")
        elif not path.exists() or not same(case, json.loads(path.read_text(encoding="utf-8"))):
            wrong.append(case["name"])
    if wrong:
        sys.exit("not as generated: " + ", ".join(wrong))
    print(f"{len(cases)} cases and {len(files)} files of checkpoints "
          f"{'agree' if check else 'written'}")


if __name__ == "__main__":
    main()
