"""What PyTorch gives for convolutions and pooling of many shapes, in float64: writes blocks.json.

    python tests/pytorch/generate.py            # writes the file again
    python tests/pytorch/generate.py --check    # recomputes and compares; changes nothing

The committed file comes from PyTorch 2.15.0 on a CPU. Inputs and weights are waves, so the file holds
shapes and results alone; of each result its sums with three waves, which see every element.
"""

import json
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

FILE = Path(__file__).parent / "blocks.json"
torch.set_default_dtype(torch.float64)


def wave(shape, phase, scale=1.0):
    count = torch.Size(shape).numel()
    return (scale * torch.sin(1.3 * torch.arange(count) + phase)).reshape(shape)


def seen(tensor):
    return [float(f"{(tensor.detach() * wave(tensor.shape, phase)).sum().item():.12g}") for phase in (0.0, 0.5, 1.0)]


def results(y, parts):
    """The result, and the gradients of its sum with a wave."""
    (y * wave(y.shape, 0.7)).sum().backward()
    return {"shape": list(y.shape), "y": seen(y)} | {name: seen(part.grad) for name, part in parts.items()}


def convolution(draw):
    groups = draw.choice([1, 1, 1, 2, 3])
    inputs, outputs = draw.randint(1, 3), draw.randint(1, 3)
    pair = lambda low, high: [draw.randint(low, high), draw.randint(low, high)]
    case = {"x": [draw.randint(1, 3), groups * inputs, *pair(1, 11)],
            "weight": [groups * outputs, inputs, *pair(1, 4)],
            "stride": pair(1, 4), "padding": pair(0, 3), "dilation": pair(1, 3), "groups": groups}
    for axis in (0, 1):
        window = case["dilation"][axis] * (case["weight"][2 + axis] - 1) + 1
        if case["x"][2 + axis] + 2 * case["padding"][axis] < window:
            return convolution(draw)
    x, weight = wave(case["x"], 0.1).requires_grad_(), wave(case["weight"], 0.4, 0.7).requires_grad_()
    bias = wave(case["weight"][:1], 0.8, 0.2).requires_grad_()
    y = F.conv2d(x, weight, bias, case["stride"], case["padding"], case["dilation"], groups)
    return case | results(y, {"dx": x, "dweight": weight, "dbias": bias})


def pooling(draw):
    pair = lambda low, high: [draw.randint(low, high), draw.randint(low, high)]
    case = {"x": [draw.randint(1, 3), draw.randint(1, 3), *pair(1, 11)], "kernel": pair(1, 4), "stride": pair(1, 4),
            "tied": draw.random() < 0.5}
    if any(kernel > size for kernel, size in zip(case["kernel"], case["x"][2:])):
        return pooling(draw)
    for name, pool in (("max", F.max_pool2d), ("avg", F.avg_pool2d)):
        x = wave(case["x"], 0.1, 1.5)
        x = (x.round() if case["tied"] else x).requires_grad_()
        case[name] = results(pool(x, case["kernel"], case["stride"]), {"dx": x})
    return case


def training(draw):
    """Adam on tanh, pooling and a dense layer above a convolution; the losses before each step."""
    size, kernel = [draw.randint(5, 9), draw.randint(5, 9)], [draw.randint(1, 3), draw.randint(1, 3)]
    stride, padding, pool = [draw.randint(1, 2), draw.randint(1, 2)], [draw.randint(0, 1), draw.randint(0, 1)], [2, 1]
    rows = 6
    weight, bias = wave([3, 1, *kernel], 0.4, 0.7).requires_grad_(), wave([3], 0.8, 0.2).requires_grad_()
    x, labels = wave([rows, 1, *size], 0.1), torch.tensor([0, 1, 1, 0, 1, 0])
    below = lambda: F.max_pool2d(torch.tanh(F.conv2d(x, weight, bias, stride, padding)), pool, 1).flatten(1)
    width = below().shape[1]
    head, head_bias = wave([2, width], 0.3, 0.3).requires_grad_(), wave([2], 0.6, 0.1).requires_grad_()
    adam = torch.optim.Adam([weight, bias, head, head_bias], lr=0.02)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(below() @ head.T + head_bias, labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(f"{loss.item():.12g}"))
    return {"size": size, "kernel": kernel, "stride": stride, "padding": padding, "pool": pool, "width": width,
            "losses": losses, "weight": seen(weight)}


def close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return abs(a - b) <= 1e-9 * max(1.0, abs(a))


def main():
    draw = random.Random(7)
    cases = {"convolution": [convolution(draw) for _ in range(120)], "pooling": [pooling(draw) for _ in range(60)],
             "training": [training(draw) for _ in range(10)]}
    if sys.argv[1:] == ["--check"]:
        if not close(cases, json.loads(FILE.read_text())):
            sys.exit(f"{FILE.name} is not what PyTorch {torch.__version__} gives")
        return
    lines = [f'"{kind}": [\n' + ",\n".join(map(json.dumps, some)) + "\n]" for kind, some in cases.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
