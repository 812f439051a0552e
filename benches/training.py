#!/usr/bin/env python3
"""Trains two networks with PyTorch; the Rust benchmark asks it to, beside its own trainings.

    python benches/training.py --threads 2

Reads a request a line, as JSON, and answers with the seconds that it took:

* `{"method": "titanic", "features": [[...]], "labels": [...], "epochs": 200, "learning_rate": 0.1}`: the whole table at each
  step.
* `{"method": "classifier", "lengths": [...], "batch": 32, ...}`: one epoch over texts of these lengths with random tokens,
  those of similar length together, by a RoBERTa classifier of the sizes that the request names.
"""

import argparse
import json
import random
import sys
import time

import torch
import transformers
from torch import nn


def titanic(request):
    features = torch.tensor(request["features"])
    labels = torch.tensor(request["labels"])
    net = nn.Sequential(
        nn.Linear(12, 12), nn.Sigmoid(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 2), nn.Softmax(dim=1)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=request["learning_rate"])
    criterion = nn.CrossEntropyLoss()
    start = time.perf_counter()
    for _ in range(request["epochs"]):
        loss = criterion(net(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def classifier(request):
    config = transformers.RobertaConfig(
        vocab_size=request["vocabulary"],
        hidden_size=request["hidden"],
        num_hidden_layers=request["layers"],
        num_attention_heads=request["heads"],
        intermediate_size=2 * request["hidden"],
        max_position_embeddings=request["tokens"] + 2,
        type_vocab_size=1,
        hidden_dropout_prob=request["dropout"],
        attention_probs_dropout_prob=0.0,
        num_labels=2,
    )
    model = transformers.RobertaForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    draw = random.Random(1)
    lengths, size = sorted(request["lengths"]), request["batch"]
    batches = [lengths[first : first + size] for first in range(0, len(lengths), size)]
    draw.shuffle(batches)
    start = time.perf_counter()
    for batch in batches:
        longest = max(batch)
        mask = torch.tensor([[1] * length + [0] * (longest - length) for length in batch])
        ids = torch.randint(5, request["vocabulary"], mask.shape) * mask + (1 - mask)
        labels = torch.randint(0, 2, (len(batch),))
        loss = criterion(model(input_ids=ids, attention_mask=mask).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    torch.set_num_threads(parser.parse_args().threads)
    works = {"titanic": titanic, "classifier": classifier}
    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] == "versions":
            answer = {"torch": torch.__version__, "transformers": transformers.__version__}
        else:
            answer = {"seconds": works[request["method"]](request)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
