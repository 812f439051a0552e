"""The small networks of the cases, their inputs, and the form of a case.

Weights and inputs have three decimals, so the numbers in a file are exactly those that
Captum was given.
"""

import math
import random

QUADRATURES = ["riemann_left", "riemann_middle", "riemann_right", "riemann_trapezoid"]


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


def fill(rng, layers):
    """Draws, in order, the weights that were not given."""
    for spec in layers:
        if "in" in spec and "weight" not in spec:
            window = [spec["kernel"]] * 2 if spec["type"] == "conv2d" else []
            spec["weight"] = draw(rng, spec["out"], spec["in"], *window)
            spec["bias"] = draw(rng, spec["out"])
    return list(layers)


def network(seed, *layers):
    return {"kind": "sequential", "layers": fill(random.Random(seed), layers)}


def joined(seed, ways, *layers):
    """Every input goes a way of its own; what comes out is put side by side for the other layers."""
    rng = random.Random(seed)
    return {"kind": "joined", "ways": [fill(rng, way) for way in ways], "layers": fill(rng, layers)}


def again(name, first):
    """The layer of the name `first` once more."""
    return {"name": name, "as": first}


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

# Models that later methods need.

RELUS = mlp(17, "relu", "relu", softmax=False)
RELUS_OF_ONE = mlp(19, "relu", "relu", softmax=False, outputs=1)
TANHS = mlp(18, "tanh", "tanh", softmax=False)
STRAIGHT = network(27, linear("linear1", 4, 5), linear("linear2", 5, 3))

REUSED = network(  # 4 -> 4 -> 4 -> 3: one dense layer and one relu, run twice
    28,
    linear("linear1", 4, 4),
    layer("relu1", "relu"),
    again("linear2", "linear1"),
    again("relu2", "relu1"),
    linear("linear3", 4, 3),
)
REUSED_RELU = network(  # only the relu runs twice
    29,
    linear("linear1", 4, 5),
    layer("relu1", "relu"),
    linear("linear2", 5, 4),
    again("relu2", "relu1"),
    linear("linear3", 4, 3),
)

AVERAGED = network(  # 2x6x6 -> 2x6x6 -> 2x3x3 -> 3x2x2
    36,
    conv2d("conv1", 2, 2, 3, padding=1),
    layer("relu1", "relu"),
    layer("pool1", "avg_pool2d", kernel=2),
    conv2d("conv2", 2, 3, 2),
    layer("relu2", "relu"),
    layer("flatten", "flatten"),
    linear("fc", 12, 3),
)
PICTURES = sample(37, 2, 2, 6, 6)
MAXIMA = network(  # 1x6x6 -> 2x4x4 -> 2x2x2
    38,
    conv2d("conv1", 1, 2, 3),
    layer("relu1", "relu"),
    layer("pool1", "max_pool2d", kernel=2),
    layer("flatten", "flatten"),
    linear("fc", 8, 3),
)
SKETCHES = sample(39, 2, 1, 6, 6)
SKETCH = sample(40, 1, 1, 6, 6)
# 1x4x4 -> 2x3x3, of which the mean: linear in its input.
LINEAR_CONV = network(
    46,
    conv2d("conv1", 1, 2, 2),
    layer("pool1", "avg_pool2d", kernel=3),
    layer("flatten", "flatten"),
    linear("fc", 2, 2),
)

PAIR = joined(  # 3 and 2 numbers
    47,
    [[linear("left", 3, 4), layer("left_act", "relu")], [linear("right", 2, 3), layer("right_act", "relu")]],
    linear("both", 7, 4),
    layer("both_act", "relu"),
    linear("head", 4, 3),
)
PAIR_SMOOTH = joined(
    48,
    [[linear("left", 3, 3), layer("left_act", "tanh")], [linear("right", 2, 3), layer("right_act", "sigmoid")]],
    linear("both", 6, 4),
    layer("both_act", "tanh"),
    linear("head", 4, 3),
    layer("softmax", "softmax"),
)
IMAGE_AND_ROW = joined(  # 1x4x4 and 3 numbers
    49,
    [[conv2d("conv", 1, 2, 3), layer("conv_act", "relu"), layer("flatten", "flatten")],
     [linear("row", 3, 3), layer("row_act", "relu")]],
    linear("both", 11, 4),
    layer("both_act", "relu"),
    linear("head", 4, 2),
)
TWO = [sample(44, 3, 3), sample(45, 3, 2)]
TWO_ORIGINS = [sample(50, 3, 3), sample(65, 3, 2)]
TWO_ORIGIN = [sample(66, 1, 3), sample(67, 1, 2)]
MIXED = [sample(68, 2, 1, 4, 4), sample(69, 2, 3)]
SEVERAL = sample(70, 2, 4)  # of a distribution


def mask(*shape, data):
    return {"shape": list(shape), "data": list(data), "dtype": "i64"}


def window(*slices):
    """A neuron that is the sum of part of a layer: a start and an end for each axis."""
    return {"slice": [list(one) for one in slices]}


# Cases.


def define(name, model, inputs, *, forward_args=None, baselines=None, target=None, layer=None, neuron=None, **args):
    """One case without its results; `name` is Method/case."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    if isinstance(baselines, dict):
        baselines = [baselines]
    case = {
        "name": name,
        "method": name.split("/")[0],
        "model": model,
        "inputs": inputs,
        "baselines": baselines,
        "target": target,
        "layer": layer,
        "neuron": neuron,
        "args": args,
    }
    return case | {"forward_args": forward_args} if forward_args else case


def integral(name, model, inputs, n_steps, quadrature="gausslegendre", **rest):
    return define(name, model, inputs, n_steps=n_steps, quadrature=quadrature, **rest)


def statistical(name, model, inputs, tolerance, expected_from, **rest):
    """A case of a method that draws: its estimate against what it estimates."""
    case = define(name, model, inputs, **rest)
    return case | {"tolerance": tolerance, "compare": f"statistical: sampled estimate against {expected_from}"}
