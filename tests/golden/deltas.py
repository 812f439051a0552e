#!/usr/bin/env python3
"""Prints the convergence deltas of Captum's DeepLift and LayerDeepLift on checkpoints of this folder, in float32.

    python tests/golden/deltas.py

Each text is compared with padding everywhere but in the first and the last column, as in the cases. DeepLift is
given the embeddings' results as inputs, LayerDeepLift the token ids. A delta is divided by max(1, |F(x) - F(b)|); the
largest of the two texts is shown. Captum has rules for neither GELU nor products nor layer norms, and takes their
gradients without saying so.
"""

import warnings

import captum.attr
import torch
import transformers
from classifiers import ALBERT, BERT, BERT_IDS, ROBERTA, ROBERTA_IDS, SHORT_IDS, reference
from generate import HERE
from torch import nn
from with_captum import Classifier, to_torch

SUBJECTS = {"tiny-bert": (BERT, BERT_IDS, 0, 1), "tiny-roberta": (ROBERTA, ROBERTA_IDS, 1, 0),
            "tiny-albert": (ALBERT, SHORT_IDS, 0, 1)}


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
    print(f"{'checkpoint':<14} {'output':<14} {'method':<14} {'|F(x) - F(b)|':>14} {'delta':>10} {'relative':>10}")
    for name, (model, ids, pad, target) in SUBJECTS.items():
        ids, pads = to_torch(ids), to_torch(reference(ids, pad))
        for output in ["logits", "probabilities"]:
            def fresh():
                return Classifier(HERE / model["path"], output).float()

            with torch.no_grad():
                net = fresh()
                change = (net(ids) - net(pads))[:, target].abs()
                embedded, origin = (net.get_submodule("embeddings")(one) for one in (ids, pads))
            net = fresh()
            _, deep = captum.attr.DeepLift(FromEmbeddings(net, ids)).attribute(
                embedded, baselines=origin, target=target, return_convergence_delta=True)
            net = fresh()
            _, layer = captum.attr.LayerDeepLift(net, net.get_submodule("embeddings")).attribute(
                ids, baselines=pads, target=target, return_convergence_delta=True)
            for method, delta in [("DeepLift", deep), ("LayerDeepLift", layer)]:
                relative = (delta.abs() / change.clamp(min=1)).max().item()
                print(f"{name:<14} {output:<14} {method:<14} {change.max().item():>14.4f} "
                      f"{delta.abs().max().item():>10.1e} {relative:>10.1e}")


if __name__ == "__main__":
    main()
