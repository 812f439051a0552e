"""What the methods that draw tend to, by Captum's methods that do not draw.

The expectation over noise is a Gauss-Hermite sum, that over the place on a path a Gauss-Legendre sum,
that over masks and over the rows of a distribution the sum over all. Captum's own draws, so many as the
case says, must lie within the case's tolerance as well.
"""

import itertools

import captum.attr
import numpy
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression, SkLearnRidge
from captum.attr._core.lime import get_exp_kernel_similarity_function

STEPS = 12
NODES = 6
PIECE = 200
SURROGATES = {"lasso": SkLearnLasso, "ridge": SkLearnRidge, "linear": SkLearnLinearRegression}


def shapley(net, inputs, options, args):
    args.pop("n_samples")
    return captum.attr.ShapleyValues(net).attribute(inputs, **args)


def lime_of(net, args, **rest):
    """Lime with the surrogate and the similarity that the case names."""
    surrogate = args.pop("surrogate", "lasso")
    alpha = {} if surrogate == "linear" else {"alpha": args.pop("alpha", 0.01)}
    distance = {"distance_mode": args.pop("distance_mode", "cosine"), "kernel_width": args.pop("kernel_width", 1.0)}
    similarity = get_exp_kernel_similarity_function(**distance)
    return captum.attr.Lime(net, interpretable_model=SURROGATES[surrogate](**alpha), similarity_func=similarity, **rest)


def lime(net, inputs, options, args):
    """The surrogate of all masks, each once."""
    def every_mask(original, num_interp_features, **rest):
        for mask in itertools.product([0, 1], repeat=num_interp_features):
            yield torch.tensor([mask])

    masks = args.get("feature_mask")
    if masks is None:
        count = sum(one[0].numel() for one in as_tuple(inputs))
    else:
        count = len(torch.cat([one.flatten() for one in as_tuple(masks)]).unique())
    if "alpha" in args and args["surrogate"] == "ridge":  # whose penalty does not grow with the samples
        args["alpha"] *= 2 ** count / args["n_samples"]
    return lime_of(net, args, perturb_func=every_mask).attribute(inputs, **args | {"n_samples": 2 ** count})


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


def noisy(inputs, stdev):
    """Every place of the Gauss-Hermite grid around each row, row by row, with the weights of the grid."""
    if stdev == 0:
        return inputs, torch.ones(1, dtype=inputs.dtype)
    places, weights = numpy.polynomial.hermite_e.hermegauss(NODES)
    axes = inputs[0].numel()
    grid = torch.tensor(list(itertools.product(places, repeat=axes)), dtype=inputs.dtype)
    weights = torch.tensor(list(itertools.product(weights, repeat=axes)), dtype=inputs.dtype).prod(dim=1)
    around = inputs[:, None] + stdev * grid.reshape(1, -1, *inputs.shape[1:])
    return around.flatten(0, 1).detach().requires_grad_(), weights / weights.sum()


def in_pieces(call, rows, times, args):
    """`call` on a few of the grid's rows at a time, as Captum's gradients take long for many; a target for each."""
    if isinstance(rows, tuple):
        return as_tuple(call(rows, args))
    targets = args.get("target")
    if isinstance(targets, list):
        targets = [one for one in targets for _ in range(times)]
    pieces = []
    for start in range(0, len(rows), PIECE):
        own = {"target": targets[start:start + PIECE]} if isinstance(targets, list) else {}
        piece = rows[start:start + PIECE].detach().requires_grad_()
        pieces.append(as_tuple(call(piece, args | own)))
    return [torch.cat(parts).detach() for parts in zip(*pieces)]


def expectation(values, weights):
    """Over the grid, for each row."""
    values = values.reshape(-1, len(weights), *values.shape[1:])
    return torch.einsum("rg...,g->r...", values, weights)


def noise_tunnel(net, options, args):
    """The tunnel around the method that the case names, what goes to the tunnel, and the rest for the method."""
    tunnel = {key: args.pop(key) for key in ("nt_type", "nt_samples", "nt_samples_batch_size", "stdevs") if key in args}
    method = getattr(captum.attr, args.pop("method"))(net, **options)
    return captum.attr.NoiseTunnel(method), tunnel, args


def tunnel_limit(net, inputs, options, args):
    method, tunnel, args = noise_tunnel(net, options, args)
    around, weights = noisy(inputs, tunnel["stdevs"])
    method = method.attribution_method
    values, = in_pieces(lambda rows, args: method.attribute(rows, **args), around, len(weights), args)
    mean, squares = expectation(values, weights), expectation(values ** 2, weights)
    return {"smoothgrad": mean, "smoothgrad_sq": squares, "vargrad": squares - mean ** 2}[
        tunnel.get("nt_type", "smoothgrad")].detach()


def gradient_shap(of_path):
    """The mean over a distribution's rows of what `of_path` gives between one row and the inputs."""
    def limit(net, inputs, options, args):
        stdevs, rows = args.pop("stdevs", 0.0), as_tuple(args.pop("baselines"))
        args.pop("n_samples")
        count = len(rows[0])
        if isinstance(inputs, tuple):
            around, weights = inputs, torch.ones(1, dtype=inputs[0].dtype)
        else:
            around, weights = noisy(inputs, stdevs)
        sums = None
        for row in range(count):
            origin = tuple(one[row:row + 1] for one in rows)
            origin = origin if isinstance(inputs, tuple) else origin[0]
            values = in_pieces(
                lambda rows, args: of_path(net, rows, origin, dict(options), args), around, len(weights), args)
            values = [expectation(one, weights).detach() / count for one in values]
            sums = values if sums is None else [a + b for a, b in zip(sums, values)]
        return sums
    return limit


def at_inputs(net, inputs, origin, options, args):
    return captum.attr.IntegratedGradients(net, **options).attribute(inputs, baselines=origin, n_steps=STEPS, **args)


def at_neuron(net, inputs, origin, options, args):
    method = captum.attr.NeuronIntegratedGradients(net, **options)
    return method.attribute(inputs, baselines=origin, n_steps=STEPS, **args)


def at_layer(net, inputs, origin, options, args):
    """The mean gradient along the path of the inputs times what the layer changes by from end to end."""
    times = options.pop("multiply_by_inputs", True)
    given = {key: args[key] for key in ("attribute_to_layer_input", "additional_forward_args") if key in args}
    gradients = captum.attr.InternalInfluence(net, **options).attribute(inputs, baselines=origin, n_steps=STEPS, **args)
    if not times:
        return gradients
    activation = captum.attr.LayerActivation(net, **options)
    return gradients * (activation.attribute(inputs, **given) - activation.attribute(origin, **given))


LIMITS = {"ShapleyValueSampling": shapley, "KernelShap": shapley, "Lime": lime, "NoiseTunnel": tunnel_limit,
          "GradientShap": gradient_shap(at_inputs), "NeuronGradientShap": gradient_shap(at_neuron),
          "LayerGradientShap": gradient_shap(at_layer)}


def checked(case, net, inputs, options, args):
    """The limit, after Captum's own draws came near it."""
    torch.manual_seed(1)
    numpy.random.seed(1)
    if case["method"] == "Lime":
        own = dict(args)
        drawn = lime_of(net, own).attribute(inputs, **own)
    elif case["method"] == "NoiseTunnel":
        method, tunnel, rest = noise_tunnel(net, options, dict(args))
        drawn = method.attribute(inputs, **tunnel, **rest)
    else:
        drawn = getattr(captum.attr, case["method"])(net, **options).attribute(inputs, **args)
    limit = LIMITS[case["method"]](net, inputs, options, args)
    for one, other in zip(as_tuple(drawn), limit if isinstance(limit, (tuple, list)) else (limit,), strict=True):
        error = (one - other).abs().max().item() / max(1, other.abs().max().item())
        assert error <= case["tolerance"], f"{case['name']}: Captum's draws are off by {error}"
        print(f"{case['name']}: {error / case['tolerance']:.2f} of the tolerance")
    return limit
