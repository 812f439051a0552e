#!/usr/bin/env python3
"""Writes the convergence deltas of Captum's DeepLift and LayerDeepLift on checkpoints of this folder, in float32, into
deltas.json beside it.

    python tests/golden/deltas.py

Each text is compared with padding everywhere but in the first and the last column, as in the cases. DeepLift is
given the embeddings' results as inputs, LayerDeepLift the token ids. A delta is divided by max(1, |F(x) - F(b)|); the
largest of the two texts is kept. Captum has rules for neither GELU nor products nor layer norms, and takes their
gradients without saying so.
"""

import json
import warnings

import captum.attr
import torch
import transformers
from classifiers import BERT_IDS, DISTILBERT_IDS, LONG_IDS, ROBERTA_IDS, SHORT_IDS, reference
from generate import HERE
from torch import nn
from with_captum import Classifier, to_torch

# The ids of two texts, the id of padding, and the target.
SUBJECTS = {
    "tiny-bert": (BERT_IDS, 0, 1),
    "tiny-roberta": (ROBERTA_IDS, 1, 0),
    "tiny-albert": (SHORT_IDS, 0, 1),
    "tiny-distilbert": (DISTILBERT_IDS, 0, 1),
    "tiny-xlm-roberta": (ROBERTA_IDS, 1, 1),
    "tiny-camembert": (ROBERTA_IDS, 1, 1),
    "tiny-roberta-prelayernorm": (ROBERTA_IDS, 1, 1),
    "tiny-data2vec-text": (ROBERTA_IDS, 1, 1),
    "tiny-electra": (SHORT_IDS, 0, 1),
    "tiny-deberta-v2": (SHORT_IDS, 0, 1),
    "tiny-deberta-v3": (LONG_IDS, 1, 1),
    "tiny-mpnet": (LONG_IDS, 1, 1),
    "tiny-modernbert": (SHORT_IDS, 0, 1),
}


class FromEmbeddings(nn.Module):
    """A classifier that is given its embeddings' results; the ids only say how many there are."""

    def __init__(self, net, ids):
        super().__init__()
        self.net, self.ids = net, ids

    def forward(self, embedded):
        hook = self.net.get_submodule("embeddings").register_forward_hook(lambda *_: embedded)
        try:
            return self.net(self.ids.repeat(len(embedded) // len(self.ids), 1))
        finally:
            hook.remove()


def main():
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    figures = []
    for name, (ids, pad, target) in SUBJECTS.items():
        origin_ids = reference(ids, pad)
        x, b = to_torch(ids), to_torch(origin_ids)
        for output in ["logits", "probabilities"]:
            def fresh():
                return Classifier(HERE / "checkpoints" / name, output).float()

            with torch.no_grad():
                net = fresh()
                change = (net(x) - net(b))[:, target].abs()
                embedded, origin = (net.get_submodule("embeddings")(one) for one in (x, b))
            net = fresh()
            _, deep = captum.attr.DeepLift(FromEmbeddings(net, x)).attribute(
                embedded, baselines=origin, target=target, return_convergence_delta=True)
            net = fresh()
            _, layer = captum.attr.LayerDeepLift(net, net.get_submodule("embeddings")).attribute(
                x, baselines=b, target=target, return_convergence_delta=True)
            relative = {method: (delta.abs() / change.clamp(min=1)).max().item()
                        for method, delta in [("DeepLift", deep), ("LayerDeepLift", layer)]}
            print(name, output, f"|F(x) - F(b)| {change.max().item():.4f}",
                  *(f"{method} {delta:.1e}" for method, delta in relative.items()), sep=", ")
            figures.append({"checkpoint": name, "output": output, "ids": ids, "baselines": origin_ids,
                            "target": target, "captum": relative})
    lines = ",\n".join(json.dumps(figure) for figure in figures)
    (HERE / "deltas.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
