#!/usr/bin/env python3
"""Computes what transformers and Captum make of data/sentiment-vi, in float64.

    python tests/text/sentiment_vi.py            # write sentiment_vi.json
    python tests/text/sentiment_vi.py --check    # compare it with a fresh computation

requirements.txt pins the versions; the tokenizers library comes with transformers. Nothing is
random and nothing is fetched. `--check` asks for the same texts and ids, and for numbers that
are not more than `tolerance` off.

sentiment_vi.json has `tolerance`, `n_steps` (500), `n_steps_by_embedding` (50), and `comments`,
the first 12 of data/comments.csv. Each of these has

- `text`, with its underscores, and `ids`, by tokenizer.json with the special tokens;
- `probabilities`, the softmax of the logits.

The first 4 have more, computed for the class `target` of the largest probability, by Captum's
LayerIntegratedGradients with Gauss-Legendre points (Captum's default) of the probability:

- `baseline`: the ids with padding (1) in place of all but the special tokens 0 and 2;
- `attributions` to the layer `embeddings`, a number for each token: the sum over the hidden
  axis, divided by the Euclidean norm of these sums;
- `delta`: Captum's convergence delta, of the sums before the division.

The first 2 have `by_embedding` too: the attributions to the layers `embeddings.NAME` by NAME,
which Captum varies together, in `n_steps_by_embedding` steps; sums over the hidden axis, not
divided. And the first has `hidden`, the last hidden states of its first 2 tokens.

All tokens are attended to, those of the baseline's padding among them. Positions are what
transformers counts from the ids: those of a token that is padding are 1, so the position
embeddings have a path to go along as well. That of the token types starts where it ends.
"""

import argparse
import csv
import json
import math
import pathlib
import sys
import warnings

import captum.attr
import tokenizers
import torch
import transformers
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parents[1] / "data"
FILE = HERE / "sentiment_vi.json"
TOLERANCE = 1e-6
N_STEPS = 500
N_STEPS_BY_EMBEDDING = 50
COMMENTS, ATTRIBUTED, BY_EMBEDDING, HIDDEN = 12, 4, 2, 1  # how many comments have what
PAD, SPECIAL = 1, (0, 2)
EMBEDDINGS = ["word_embeddings", "position_embeddings", "token_type_embeddings"]


class Classifier(nn.Module):
    """Probabilities of token ids, all of which are attended to."""

    def __init__(self, folder):
        super().__init__()
        self.net, info = transformers.RobertaForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        assert not any(info.values()), info
        self.net.double().eval()

    def forward(self, ids):
        return self.net(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.softmax(dim=1)

    def hidden(self, ids):
        mask = torch.ones_like(ids)
        return self.net.roberta(input_ids=ids, attention_mask=mask).last_hidden_state


def comments(count):
    with open(DATA / "comments.csv", encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)][:count]


def to_file(values):
    """Nine significant digits; rounding noise below 1e-12 becomes 0 to keep the file stable."""
    if isinstance(values, list):
        return [to_file(value) for value in values]
    return float(f"{values:.9g}") if abs(values) >= 1e-12 else 0.0


def attribute(model, ids, target, baseline):
    method = captum.attr.LayerIntegratedGradients(model, model.net.roberta.embeddings)
    attributions, delta = method.attribute(
        ids, baseline, target=target, n_steps=N_STEPS, internal_batch_size=3,
        return_convergence_delta=True)
    sums = attributions.sum(dim=2)[0]
    return {"attributions": to_file((sums / sums.norm()).tolist()), "delta": to_file(delta.item())}


def attribute_by_embedding(model, ids, target, baseline):
    layers = [model.net.roberta.embeddings.get_submodule(name) for name in EMBEDDINGS]
    method = captum.attr.LayerIntegratedGradients(model, layers)
    parts = method.attribute(ids, baseline, target=target, n_steps=N_STEPS_BY_EMBEDDING)
    return {name: to_file(part.sum(dim=2)[0].tolist()) for name, part in zip(EMBEDDINGS, parts)}


def compute():
    folder = DATA / "sentiment-vi"
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = Classifier(folder)
    records = []
    for index, text in enumerate(comments(COMMENTS)):
        ids = tokenizer.encode(text).ids
        batch = torch.tensor([ids])
        with torch.no_grad():
            probabilities = model(batch)[0]
        record = {"text": text, "ids": ids, "probabilities": to_file(probabilities.tolist())}
        if index < ATTRIBUTED:
            target = probabilities.argmax().item()
            baseline = [token if token in SPECIAL else PAD for token in ids]
            arguments = (model, batch, target, torch.tensor([baseline]))
            record |= {"target": target, "baseline": baseline, **attribute(*arguments)}
            if index < BY_EMBEDDING:
                record["by_embedding"] = attribute_by_embedding(*arguments)
        if index < HIDDEN:
            with torch.no_grad():
                record["hidden"] = to_file(model.hidden(batch)[0, :2].tolist())
        records.append(record)
    return {"tolerance": TOLERANCE, "n_steps": N_STEPS,
            "n_steps_by_embedding": N_STEPS_BY_EMBEDDING, "comments": records}


def written(result):
    """A line per comment."""
    def compact(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    head = "".join(f'"{key}":{compact(result[key])},\n' for key in result if key != "comments")
    lines = ",\n".join(map(compact, result["comments"]))
    return f'{{{head}"comments":[\n{lines}\n]}}\n'


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    torch.set_num_threads(1)
    # Captum says that ids have no gradient, and that no layer may follow another.
    warnings.filterwarnings("ignore", message="Input Tensor 0 has a dtype of torch.int64")
    warnings.filterwarnings("ignore", message="Multiple layers provided")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    result = compute()
    if not check:
        FILE.write_text(written(result), encoding="utf-8")
    elif not FILE.exists() or not same(result, json.loads(FILE.read_text(encoding="utf-8"))):
        sys.exit(f"not as generated: {FILE.name}")
    print(f"{len(result['comments'])} comments {'agree' if check else 'written'}")


if __name__ == "__main__":
    main()
