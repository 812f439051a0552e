#!/usr/bin/env python3
"""Captum's side of benches/speed.rs, which starts it and has the two take turns.

    python benches/speed.py --model FOLDER --threads 2

FOLDER holds a RoBERTa classifier. Each line of the standard input is a request in JSON, and each gets one line:

    {"method": "LayerIntegratedGradients", "ids": [[tokens]], "baseline": [[tokens]], "target": 1,
     "n_steps": 50, "internal_batch_size": 16}
        -> {"seconds": 3.1, "attributions": [tokens]}, summed over the hidden units
    {"method": "LayerConductance", ...}, of every encoder layer between the embeddings
        -> {"seconds": 9.5, "attributions": [layers * tokens]}, one layer after another
    {"method": "FeatureAblation" or "KernelShap" or "Occlusion", ..., "perturbations_per_eval": 16, "n_samples": 256}
        -> {"seconds": 1.2, "attributions": [tokens]}
    {"method": "versions"} -> {"captum": ..., "torch": ..., "transformers": ..., "threads": 2, "peak_bytes": ...}

Every token is a feature of the methods that leave features out. The weights are frozen but the word embeddings, as
Captum needs a graph. Besides tests/golden/requirements.txt it needs nothing.
"""

import argparse
import json
import resource
import sys
import time

import captum
import torch
import transformers
from captum.attr import FeatureAblation, KernelShap, LayerConductance, LayerIntegratedGradients, Occlusion
from transformers import RobertaForSequenceClassification


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = RobertaForSequenceClassification.from_pretrained(args.model).eval()
    for weight in model.parameters():
        weight.requires_grad_(False)
    embeddings = model.roberta.embeddings
    embeddings.word_embeddings.weight.requires_grad_(True)

    def probabilities(ids):
        return model(ids).logits.softmax(dim=1)

    def above_embeddings(embedded):
        return model.classifier(model.roberta.encoder(embedded).last_hidden_state).softmax(dim=1)

    def attributions(request):
        ids, baseline = torch.tensor(request["ids"]), torch.tensor(request["baseline"])
        common = {"target": request["target"], "baselines": baseline}
        match request["method"]:
            case "LayerIntegratedGradients":
                steps = {name: request[name] for name in ("n_steps", "internal_batch_size")}
                found = LayerIntegratedGradients(probabilities, embeddings).attribute(ids, **common, **steps)
                return found.sum(dim=2)[0]
            case "LayerConductance":
                steps = {name: request[name] for name in ("n_steps", "internal_batch_size")}
                with torch.no_grad():
                    ends = {"inputs": embeddings(ids), "baselines": embeddings(baseline)}
                layers = [LayerConductance(above_embeddings, layer) for layer in model.roberta.encoder.layer]
                found = [layer.attribute(**ends, target=request["target"], **steps) for layer in layers]
                return torch.cat([layer.detach().sum(dim=2)[0] for layer in found])
            case "FeatureAblation":
                together = request["perturbations_per_eval"]
                return FeatureAblation(probabilities).attribute(ids, **common, perturbations_per_eval=together)[0]
            case "Occlusion":
                together = request["perturbations_per_eval"]
                method = Occlusion(probabilities)
                return method.attribute(ids, (request["window"],), **common, perturbations_per_eval=together)[0]
            case "KernelShap":
                many = {name: request[name] for name in ("n_samples", "perturbations_per_eval")}
                return KernelShap(probabilities).attribute(ids, **common, **many)[0]
            case other:
                raise ValueError(f"expected a method of this file, got {other}")

    for line in sys.stdin:
        request = json.loads(line)
        if request["method"] == "versions":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            versions = {module.__name__: module.__version__ for module in (captum, torch, transformers)}
            answer = {**versions, "threads": torch.get_num_threads(), "peak_bytes": peak}
        else:
            with torch.set_grad_enabled(request["method"] in ("LayerIntegratedGradients", "LayerConductance")):
                start = time.perf_counter()
                found = attributions(request)
                answer = {"seconds": time.perf_counter() - start, "attributions": found.tolist()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
