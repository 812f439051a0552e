#!/usr/bin/env python3
"""Times Captum on the Titanic network; the Rust benchmark starts it beside its own runs.

    python benches/captum_titanic.py --weights W.safetensors --features F.safetensors \
        --rounds 10 --threads 2

Prints one JSON line per method: the milliseconds of every round, their median,
and the attributions averaged over the rows, by which the caller sees that both
sides computed the same thing. Besides the pins of tests/golden/requirements.txt
it needs safetensors==0.8.0.
"""

import argparse
import json
import statistics
import time

import captum
import torch
from captum.attr import IntegratedGradients, LayerConductance, NeuronConductance
from safetensors.torch import load_file
from torch import nn

TARGET = 1
NEURON = 10
N_STEPS = 50


def network(weights):
    net = nn.Sequential()
    net.add_module("linear1", nn.Linear(12, 12))
    net.add_module("sigmoid1", nn.Sigmoid())
    net.add_module("linear2", nn.Linear(12, 8))
    net.add_module("sigmoid2", nn.Sigmoid())
    net.add_module("linear3", nn.Linear(8, 2))
    net.add_module("softmax", nn.Softmax(dim=1))
    net.load_state_dict(load_file(weights))
    return net.eval()


def methods(net, features):
    """Name -> a call; all else (zero baseline, quadrature, batching) is Captum's default."""
    common = {"target": TARGET, "n_steps": N_STEPS}
    ig = IntegratedGradients(net)
    layer = LayerConductance(net, net.sigmoid1)
    neuron = NeuronConductance(net, net.sigmoid1)
    return {
        "IntegratedGradients": lambda: ig.attribute(features, **common),
        "LayerConductance": lambda: layer.attribute(features, **common),
        "NeuronConductance": lambda: neuron.attribute(features, NEURON, **common),
    }


def milliseconds(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="linear1..3 .weight and .bias")
    parser.add_argument("--features", required=True, help="'features', [rows, 12], float32")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, help="default: as torch chooses")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    if args.threads is not None:
        torch.set_num_threads(args.threads)

    features = load_file(args.features)["features"]
    for method, call in methods(network(args.weights), features).items():
        mean = call().mean(dim=0)  # also the warm-up
        rounds = [milliseconds(call) for _ in range(args.rounds)]
        line = {
            "method": method,
            "captum": captum.__version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "rows": len(features),
            "ms": [round(ms, 3) for ms in rounds],
            "median_ms": round(statistics.median(rounds), 3),
            "mean": mean.tolist(),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
