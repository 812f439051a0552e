#!/usr/bin/env python3
"""Records what transformers computes with the tiny checkpoints of tests/golden and other settings.

    python tests/text/checkpoints.py            # write checkpoints.json beside this file
    python tests/text/checkpoints.py --check    # compare it

For every activation: the logits in float64, and for each token the sum over the hidden axis of the gradient of
the first logit at the embeddings times the embeddings. For a pair: the logits with its token types, and without.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
CHECKPOINTS = HERE.parent / "golden" / "checkpoints"
ACTIVATIONS = ["gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate", "gelu_fast",
               "gelu_10", "quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "silu", "swish", "hardswish", "tanh",
               "sigmoid", "linear"]
IDS = [[2, 17, 5, 9, 31, 12, 3]]
TYPES = [[0, 0, 0, 1, 1, 1, 1]]


def changed(name, **settings):
    config = json.loads((CHECKPOINTS / name / "config.json").read_text())
    config.update(settings)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").write_bytes((CHECKPOINTS / name / "model.safetensors").read_bytes())
        return transformers.AutoModelForSequenceClassification.from_pretrained(folder).double().eval()


def rounded(tensor):
    return [round(float(value), 12) for value in tensor.flatten()]


def activation(name):
    # As large as the tiny weights make it, the argument never leaves the middle: scaled, it meets the bends.
    model = changed("tiny-bert", hidden_act=name)
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.weight *= 8
    kept = {}

    def keep(_module, _inputs, output):
        output.retain_grad()
        kept["embeddings"] = output

    model.bert.embeddings.register_forward_hook(keep)
    logits = model(torch.tensor(IDS)).logits
    logits[0, 0].backward()
    embeddings = kept["embeddings"]
    return {"logits": rounded(logits), "gradient_times_activation": rounded((embeddings.grad * embeddings).sum(-1))}


def generate():
    model = changed("tiny-bert")
    with torch.no_grad():
        ids, types = torch.tensor(IDS), torch.tensor(TYPES)
        pair = rounded(model(ids, token_type_ids=types).logits)
        single = rounded(model(ids).logits)
    lines = [f'"ids": {IDS}', f'"types": {TYPES}', f'"pair": {pair}', f'"single": {single}']
    lines += [f'"{name}": {json.dumps(activation(name))}' for name in ACTIVATIONS]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    transformers.logging.set_verbosity_error()
    made, path = generate(), HERE / "checkpoints.json"
    if not check:
        path.write_text(made)
    elif json.loads(path.read_text()) != json.loads(made):
        sys.exit("checkpoints.json is not as generated")
    print("all is well")


if __name__ == "__main__":
    main()
