#!/usr/bin/env python3
"""Times Captum and shap; benches/methods.rs starts it beside its own runs.

    python benches/methods.py < job.json

A job, every part of which may be left out but `out`:

    {"out": "attributions.safetensors", "rounds": 5, "threads": 2, "seed": 1, "methods": [names, or all],
     "titanic": {"weights": "linear1..3 .weight and .bias", "features": "'features' [rows, 12], 'baselines' [rows, 12]",
                 "target": 1, "kernel_shap": 256, "shapley_value_sampling": 10, "gradient_shap": 20,
                 "perturbations_per_eval": 64},
     "text": {"folder": "a checkpoint", "texts": [{"ids": [tokens], "words": [tokens], "baseline": [tokens]}],
              "target": 1, "kernel_shap": 256, "shapley_value_sampling": 10, "gradient_shap": 20, "window": 2,
              "perturbations_per_eval": 16}}

`words` says which word each token is of, -1 for the special tokens, which stay; a word that is away has the
tokens of `baseline`. Numbers after a method are its samples: of KernelShap the coalitions, of
ShapleyValueSampling the orders, of GradientShap the points. `baselines` are the rows that GradientShap draws from;
all else is compared with zeros.

It prints lines of JSON: first the versions, then for each data, library and method the milliseconds of every round,
their median, and `evaluations`, the rows that went forward through the model, or `error`, why there are none.
Attributions lie in `out` as DATA/LIBRARY/METHOD: [rows, 12], or [words] for each text under /INDEX, of a text by
gradients its tokens'. On the Titanic network LRP explains the logits, as there is no rule for the softmax, and
sigmoids pass relevance on. Besides tests/golden/requirements.txt it needs shap==0.51.0.
"""

import json
import statistics
import sys
import time
import warnings

import captum
import numpy
import shap
import torch
import transformers
from captum.attr import (
    LRP, DeepLift, FeatureAblation, GradientShap, KernelShap, Occlusion, ShapleyValueSampling)
from captum.attr._utils.lrp_rules import IdentityRule
from safetensors.torch import load_file, save_file
from torch import nn


class Counted(nn.Module):
    """A model that counts the rows that go through it."""

    def __init__(self, model):
        super().__init__()
        self.model, self.rows = model, 0

    def forward(self, *inputs):
        self.rows += len(inputs[0])
        return self.model(*inputs)


class AboveEmbeddings(nn.Module):
    """A RoBERTa classifier from its embeddings on, giving probabilities."""

    def __init__(self, model):
        super().__init__()
        self.encoder, self.classifier = model.roberta.encoder, model.classifier

    def forward(self, embedded):
        return self.classifier(self.encoder(embedded).last_hidden_state).softmax(dim=1)


class WithoutWords(nn.Module):
    """From which words are there, [rows, words], to the probabilities of the text without the others."""

    def __init__(self, model, text):
        super().__init__()
        self.model = model
        self.ids, self.baseline = torch.tensor(text["ids"]), torch.tensor(text["baseline"])
        self.words = torch.tensor(text["words"])

    def forward(self, present):
        kept = torch.cat([present > 0.5, torch.ones(len(present), 1, dtype=torch.bool)], dim=1)[:, self.words]
        return self.model(input_ids=torch.where(kept, self.ids, self.baseline)).logits.softmax(dim=1)


def titanic_network(weights, logits=False):
    net = nn.Sequential()
    net.add_module("linear1", nn.Linear(12, 12))
    net.add_module("sigmoid1", nn.Sigmoid())
    net.add_module("linear2", nn.Linear(12, 8))
    net.add_module("sigmoid2", nn.Sigmoid())
    net.add_module("linear3", nn.Linear(8, 2))
    if not logits:
        net.add_module("softmax", nn.Softmax(dim=1))
    net.load_state_dict(load_file(weights))
    return net.eval()


def lrp(weights, features, target):
    net = Counted(titanic_network(weights, logits=True))

    def run():
        net.model.sigmoid1.rule, net.model.sigmoid2.rule = IdentityRule(), IdentityRule()
        return LRP(net).attribute(features, target=target)
    return net, run


def numbers(net, target):
    """The target's output for an array of rows, as shap asks for it."""
    def call(rows):
        with torch.no_grad():
            return net(torch.as_tensor(rows, dtype=torch.float32))[:, target].numpy()
    return call


def perturbing(job, net, inputs, window):
    """The methods that look at outputs only, of both libraries, for inputs whose absence is zero."""
    target, together = job["target"], job["perturbations_per_eval"]
    kernel, orders = job["kernel_shap"], job["shapley_value_sampling"]
    given = {"target": target, "perturbations_per_eval": together}
    zero = numpy.zeros((1, inputs.shape[1]), dtype=numpy.float32)
    function, array = numbers(net, target), inputs.detach().numpy()

    def shap_kernel():
        return shap.KernelExplainer(function, zero).shap_values(array, nsamples=kernel, l1_reg=0, silent=True)

    def shap_sampling():
        # Two evaluations for each feature of an order, where Captum's walk along an order takes one.
        explainer = shap.SamplingExplainer(function, zero)
        return explainer.shap_values(array, nsamples=orders * inputs.shape[1], silent=True)

    return {
        ("captum", "KernelShap"): lambda: KernelShap(net).attribute(inputs, n_samples=kernel, **given),
        ("captum", "ShapleyValueSampling"):
            lambda: ShapleyValueSampling(net).attribute(inputs, n_samples=orders, **given),
        ("captum", "FeatureAblation"): lambda: FeatureAblation(net).attribute(inputs, **given),
        ("captum", "Occlusion"):
            lambda: Occlusion(net).attribute(inputs, sliding_window_shapes=(min(window, inputs.shape[1]),), **given),
        ("shap", "KernelShap"): shap_kernel,
        ("shap", "ShapleyValueSampling"): shap_sampling,
    }


def by_gradients(job, net, inputs, origin, baselines):
    """`origin` is what DeepLift compares with, `baselines` what GradientShap draws from."""
    target, points = job["target"], job["gradient_shap"]

    def shap_deep():
        return shap.DeepExplainer(net, origin).shap_values(inputs, check_additivity=False)[..., target]

    def shap_gradient():
        return shap.GradientExplainer(net, baselines).shap_values(inputs, nsamples=points)[..., target]

    return {
        ("captum", "DeepLift"): lambda: DeepLift(net).attribute(inputs, baselines=origin, target=target),
        ("captum", "GradientShap"):
            lambda: GradientShap(net).attribute(inputs, baselines=baselines, n_samples=points, target=target),
        ("shap", "DeepLift"): shap_deep,
        ("shap", "GradientShap"): shap_gradient,
    }


def titanic(job):
    """(library, method) -> the counted model and a call for the attributions."""
    tensors = load_file(job["features"])
    features = tensors["features"]
    baselines = tensors.get("baselines", torch.zeros(2, 12))
    net = Counted(titanic_network(job["weights"]))
    calls = perturbing(job, net, features, job.get("window", 1))
    calls |= by_gradients(job, net, features, torch.zeros(1, 12), baselines)
    calls = {name: (net, call) for name, call in calls.items()}
    return calls | {("captum", "LRP"): lrp(job["weights"], features, job["target"])}


def text(job, model, one):
    absent = Counted(WithoutWords(model, one))
    above = Counted(AboveEmbeddings(model))
    with torch.no_grad():
        embedded, origin = (model.roberta.embeddings(torch.tensor([one[key]])) for key in ("ids", "baseline"))
    present = torch.ones(1, max(one["words"]) + 1)
    calls = {name: (absent, call) for name, call in perturbing(job, absent, present, job["window"]).items()}
    # GradientShap of Captum takes a distribution of at least one row, shap's of at least one as well.
    calls |= {name: (above, call) for name, call in by_gradients(job, above, embedded, origin, origin).items()}
    return calls | {("captum", "LRP"): (above, lambda: LRP(above).attribute(embedded, target=job["target"]))}


def as_tensor(values):
    values = torch.as_tensor(values).detach().float()
    return values.sum(dim=-1) if values.dim() == 3 else values


def milliseconds(call, seed):
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    start = time.perf_counter()
    values = call()
    return values, (time.perf_counter() - start) * 1e3


def measured(job, data, parts, attributions):
    """Prints a line for each method, run on every part: all rows, or one text after the other, their times added."""
    for library, method in parts[0]:
        if method not in job.get("methods", [method]):
            continue
        line = {"data": data, "library": library, "method": method}
        rounds, evaluations = [0.0] * job["rounds"], 0
        try:
            for index, part in enumerate(parts):
                model, call = part[library, method]
                model.rows = 0
                values, _ = milliseconds(call, job["seed"])  # also the warm-up
                evaluations += model.rows
                name = f"{data}/{library}/{method}" + (f"/{index}" if len(parts) > 1 else "")
                values = as_tensor(values)
                attributions[name] = (values[0] if len(values) == 1 else values).contiguous()
                for turn in range(job["rounds"]):
                    rounds[turn] += milliseconds(call, job["seed"])[1]
            line |= {"evaluations": evaluations, "ms": [round(ms, 3) for ms in rounds],
                     "median_ms": round(statistics.median(rounds), 3)}
        except Exception as error:  # what a library cannot do is a result
            line["error"] = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(line), flush=True)


def main():
    job = {"rounds": 5, "seed": 1} | json.load(sys.stdin)
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if "threads" in job:
        torch.set_num_threads(job["threads"])
    samples = {"target": 1, "kernel_shap": 256, "shapley_value_sampling": 10, "gradient_shap": 20}

    print(json.dumps({"captum": captum.__version__, "shap": shap.__version__, "torch": torch.__version__,
                      "transformers": transformers.__version__, "threads": torch.get_num_threads()}), flush=True)
    attributions = {}
    if "titanic" in job:
        own = samples | {"perturbations_per_eval": 64} | job["titanic"]
        measured(job, "titanic", [titanic(own)], attributions)
    if "text" in job:
        own = samples | {"perturbations_per_eval": 16, "window": 2} | job["text"]
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            own["folder"], dtype=torch.float32, attn_implementation="eager").eval()
        measured(job, "text", [text(own, model, one) for one in own["texts"]], attributions)
    save_file(attributions, job["out"])


if __name__ == "__main__":
    main()
