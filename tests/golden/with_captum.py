"""Captum's side: a case's model as a torch module, and what Captum computes for it."""

import copy

import captum.attr
import torch
import transformers
from captum.attr._utils import lrp_rules
from networks import tensor
from torch import nn

import limits

WITH_DELTA = {"IntegratedGradients", "DeepLift", "DeepLiftShap", "LRP", "LayerIntegratedGradients", "LayerConductance",
              "LayerDeepLift", "LayerDeepLiftShap", "LayerLRP"}
# Their hooks take a module that runs twice for one that runs once, so each run has a module of its own.
ONE_RUN_A_MODULE = {"DeepLift", "DeepLiftShap", "LayerDeepLift", "LayerDeepLiftShap", "NeuronDeepLift",
                    "NeuronDeepLiftShap", "LRP", "LayerLRP"}
OF_CONSTRUCTORS = ["multiply_by_inputs"]
RULES = {"epsilon": lrp_rules.EpsilonRule, "gamma": lrp_rules.GammaRule, "alpha1_beta0": lrp_rules.Alpha1_Beta0_Rule,
         "identity": lrp_rules.IdentityRule}


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


class Joined(nn.Module):
    """One way for each input, put side by side for the other layers."""

    def __init__(self, ways, layers):
        super().__init__()
        self.ways, self.layers = nn.ModuleList(ways), layers

    def forward(self, *inputs):
        return self.layers(torch.cat([way(one) for way, one in zip(self.ways, inputs, strict=True)], dim=1))

    def get_submodule(self, target):
        return next(module for net in [*self.ways, self.layers] for name, module in net.named_children()
                    if name == target)


class Sequential(nn.Sequential):
    """Knows the layers that run again by every name."""

    def get_submodule(self, target):
        return self._modules[target]


def module(spec):
    kind = spec["type"]
    if kind == "linear":
        made = nn.Linear(spec["in"], spec["out"])
    elif kind == "conv2d":
        made = nn.Conv2d(spec["in"], spec["out"], spec["kernel"], spec.get("stride", 1), spec.get("padding", 0))
    elif kind in ("max_pool2d", "avg_pool2d"):
        pool = nn.MaxPool2d if kind == "max_pool2d" else nn.AvgPool2d
        made = pool(spec["kernel"], spec.get("stride"))
    elif kind == "leaky_relu":
        made = nn.LeakyReLU(spec["slope"])
    elif kind == "softmax":
        made = nn.Softmax(dim=1)
    else:
        made = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softplus": nn.Softplus, "elu": nn.ELU,
                "gelu": nn.GELU, "flatten": nn.Flatten}[kind]()
    made.double()  # before the weights, which would be rounded to float32 otherwise
    if "weight" in spec:
        made.load_state_dict({key: to_torch(spec[key]) for key in ("weight", "bias")})
    return made


def sequential(layers, copies):
    """`copies`: what runs again is a module of its own, with the same weights."""
    net = Sequential()
    for spec in layers:
        if "as" in spec:
            first = net.get_submodule(spec["as"])
            net.add_module(spec["name"], copy.deepcopy(first) if copies else first)
        else:
            net.add_module(spec["name"], module(spec))
    return net


def build(case, folder):
    """The model of a case as a torch module in float64; `folder` holds the checkpoints."""
    model, copies = case["model"], case["method"] in ONE_RUN_A_MODULE
    if model["kind"] == "huggingface":
        return Classifier(folder / model["path"], case["args"]["output"])
    if model["kind"] == "joined":
        return Joined([sequential(way, copies) for way in model["ways"]], sequential(model["layers"], copies))
    return sequential(model["layers"], copies)


def to_file(values):
    """Nine significant digits; rounding noise below 1e-12 becomes 0 to keep files stable."""
    data = [float(f"{x:.9g}") if abs(x) >= 1e-12 else 0.0 for x in values.flatten().tolist()]
    return tensor(*values.shape, data=data)


def one_or_tuple(values):
    values = tuple(values)
    return values if len(values) > 1 else values[0]


def tuples(value):
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def selector(neuron):
    """Captum's `neuron_selector` for an index, a part of the layer to add up, or a function of the layer."""
    if isinstance(neuron, list):
        return tuple(neuron)
    slices = tuple(slice(*one) for one in neuron["slice"])
    if neuron.get("function") == "sum":
        return lambda values: values[(slice(None), *slices)].flatten(1).sum(dim=1)
    return slices


def give_rules(net, args):
    """Sets the rule of LRP that `rule` names on every layer with weights, then those of `rules` by layer."""
    by_name = {name: layer for name, layer in net.named_modules() if not list(layer.children())}
    by_name = {name.split(".")[-1]: layer for name, layer in by_name.items()}
    wanted = {}
    if "rule" in args:
        wanted = {name: args for name, layer in by_name.items() if hasattr(layer, "weight")}
    wanted |= args.get("rules", {})
    for name, chosen in wanted.items():
        kind = chosen["rule"]
        by_name[name].rule = RULES[kind](**{kind: chosen[kind]} if kind in chosen else {})
    for layer in by_name.values():
        if isinstance(layer, nn.Flatten):  # for which Captum has no rule
            layer.rule = lrp_rules.EpsilonRule()
    for key in ("rule", "rules", "epsilon", "gamma"):
        args.pop(key, None)


def asked(case, net):
    """The inputs, and Captum's arguments to the constructor and to `attribute`."""
    inputs = [to_torch(one) for one in case["inputs"]]
    args = {key: tuples(value) for key, value in case["args"].items() if key not in ("output", "rules")}
    args |= {key: case["args"][key] for key in ("rules",) if key in case["args"]}
    options = {key: args.pop(key) for key in OF_CONSTRUCTORS if key in args}
    if case["method"] in ("LRP", "LayerLRP"):
        give_rules(net, args)
    if given := tuple(map(to_torch, case.get("forward_args", ()))):
        args["additional_forward_args"] = given
    if case["layer"] is not None:
        options["layer"] = net.get_submodule(case["layer"])
    if case["neuron"] is not None:
        args["neuron_selector"] = selector(case["neuron"])
    if "quadrature" in args:
        args["method"] = args.pop("quadrature")
    for name in ("feature_mask", "layer_mask", "layer_baselines"):
        if isinstance(args.get(name), tuple):
            args[name] = one_or_tuple(map(to_torch, args[name]))
    if isinstance(case["baselines"], list):
        args["baselines"] = one_or_tuple(map(to_torch, case["baselines"]))
    elif case["baselines"] is not None:
        args["baselines"] = one_or_tuple([case["baselines"]] * len(inputs))
    if isinstance(case["target"], list):
        args["target"] = [tuple(t) if isinstance(t, list) else t for t in case["target"]]
    elif case["target"] is not None:
        args["target"] = case["target"]
    for one in inputs:
        one.requires_grad_(one.is_floating_point())
    return one_or_tuple(inputs), options, args


def one_number(net, target):
    """A forward function that gives the target's output alone."""
    def forward(*inputs):
        outputs = net(*inputs)
        if target is None:
            return outputs.flatten()
        return outputs[range(len(outputs)), target]
    return forward


def results(values):
    values = values if isinstance(values, (tuple, list)) else [values]
    return {"attributions": [to_file(one) for one in values]}


def attribute(case, folder):
    """Asks Captum; an argument that the case leaves out keeps Captum's default."""
    net = build(case, folder)
    if case["method"] == "Forward":
        return results(net(*map(to_torch, case["inputs"]), *map(to_torch, case.get("forward_args", ()))))
    inputs, options, args = asked(case, net)
    if "compare" in case:
        return results(limits.checked(case, net, inputs, options, args))
    if case["method"] == "NoiseTunnel":
        method, tunnel, args = limits.noise_tunnel(net, options, args)
        return results(method.attribute(inputs, **tunnel, **args))
    if case["method"] == "LayerFeaturePermutation":  # selects the target twice, and fails
        net = one_number(net, args.pop("target", None))
    method = getattr(captum.attr, case["method"])(net, **options)
    # Without the factor (input - baseline) attributions do not add up to a difference.
    if case["method"] in WITH_DELTA and options.get("multiply_by_inputs", True):
        attributions, delta = method.attribute(inputs, return_convergence_delta=True, **args)
        return results(attributions) | {"convergence_delta": to_file(delta)}
    attributions = method.attribute(inputs, **args)
    if case["method"] == "ShapleyValues" and isinstance(inputs, torch.Tensor):  # keeps the axis of an output [batch, 1]
        attributions = attributions.reshape(inputs.shape)
    return results(attributions)
