#!/usr/bin/env python3
"""Records what transformers computes with the tiny checkpoints of tests/golden and other settings.

    python tests/text/checkpoints.py            # write checkpoints.json beside this file
    python tests/text/checkpoints.py --check    # compare it

For every activation: the logits in float64, and for each token the sum over the hidden axis of the gradient of
the first logit at the embeddings times the embeddings. For a pair: the logits with its token types, and without.
For other families: the logits of a padded pair with each setting that changes what is computed.
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

# Settings that leave the weights as they are. A value of None takes the key out.
PADDED = [[2, 17, 5, 9, 31, 12, 3, 22, 1, 1]]
MASK = [[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]]
PADDED_TYPES = [[0, 0, 0, 0, 1, 1, 1, 1, 0, 0]]
ROPE = {"full_attention": {"rope_type": "default", "rope_theta": 20.0}, "sliding_attention": {"rope_theta": 5.0}}
VARIANTS = {
    "tiny-xlm-roberta": [{"pad_token_id": 0}, {"layer_norm_eps": 0.01}],
    "tiny-roberta-prelayernorm": [{"pad_token_id": 0}, {"layer_norm_eps": 0.01}, {"hidden_act": "relu"}],
    "tiny-data2vec-text": [{"pad_token_id": 0}, {"layer_norm_eps": 0.01}, {"layer_norm_eps": None},
                           {"hidden_act": "relu"}, {"num_attention_heads": 4}],
    "tiny-electra": [{"hidden_act": "relu"}, {"layer_norm_eps": 0.01}],
    "tiny-albert": [{"hidden_act": "relu"}, {"num_hidden_layers": 2}, {"num_hidden_layers": 7},
                    {"layer_norm_eps": 0.01}],
    "tiny-deberta-v2": [
        {"conv_kernel_size": 0}, {"conv_act": None}, {"share_att_key": True}, {"position_biased_input": False},
        {"type_vocab_size": None}, {"relative_attention": None}, {"pos_att_type": ["c2p"]}, {"pos_att_type": None},
        {"layer_norm_eps": 0.01}, {"hidden_act": "relu"}, {"pooler_hidden_act": "tanh"}],
    "tiny-deberta-v3": [
        {"max_relative_positions": 6}, {"norm_rel_ebd": None}, {"pos_att_type": "P2C"}, {"pos_att_type": ["c2p"]},
        {"relative_attention": False}],
    "tiny-mpnet": [{"layer_norm_eps": 0.01}, {"hidden_act": "relu"}],
    "tiny-modernbert": [
        {"classifier_pooling": "mean"}, {"local_attention": 2}, {"sliding_window": 1}, {"norm_eps": 0.01},
        {"layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]},
        {"layer_types": None, "global_attn_every_n_layers": 2}, {"rope_parameters": ROPE},
        {"rope_parameters": None, "global_rope_theta": 30.0}, {"rope_parameters": None, "local_rope_theta": 30.0},
        {"classifier_activation": "relu"}, {"hidden_activation": "relu"}],
    "biased-modernbert": [
        {"classifier_pooling": None}, {"global_attn_every_n_layers": None}, {"global_rope_theta": None},
        {"local_rope_theta": None}, {"local_attention": None}, {"norm_eps": None}, {"hidden_activation": None},
        {"classifier_activation": None}],
}


def changed(name, **settings):
    config = json.loads((CHECKPOINTS / name / "config.json").read_text())
    config = {key: value for key, value in (config | settings).items() if value is not None}
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


def variants():
    for name, settings in VARIANTS.items():
        given = {"attention_mask": torch.tensor(MASK)}
        if name in ("tiny-data2vec-text", "tiny-electra", "tiny-albert", "tiny-deberta-v2", "tiny-deberta-v3"):
            given["token_type_ids"] = torch.tensor(PADDED_TYPES)
        usual = None
        for changes in [{}, *settings]:
            logits = rounded(changed(name, **changes)(torch.tensor(PADDED), **given).logits)
            assert logits != usual, (name, changes)
            usual = usual or logits
            yield {"checkpoint": name, "settings": changes, "types": "token_type_ids" in given, "logits": logits}


def generate():
    model = changed("tiny-bert")
    with torch.no_grad():
        ids, types = torch.tensor(IDS), torch.tensor(TYPES)
        pair = rounded(model(ids, token_type_ids=types).logits)
        single = rounded(model(ids).logits)
    lines = [f'"ids": {IDS}', f'"types": {TYPES}', f'"pair": {pair}', f'"single": {single}']
    lines += [f'"{name}": {json.dumps(activation(name))}' for name in ACTIVATIONS]
    lines += [f'"padded": [{PADDED}, {MASK}, {PADDED_TYPES}]']
    lines += ['"variants": [\n' + ",\n".join(map(json.dumps, variants())) + "\n]"]
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
