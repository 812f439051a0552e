"""The checkpoints of text classifiers, and the token ids that they are given.

Weights are multiples of 1/1024. The second of the two texts has padding inside and at its end.
"""

import io
import json

import safetensors.torch
import torch
import transformers


def token_ids(*rows):
    return {"shape": [len(rows), len(rows[0])], "data": sum(rows, []), "dtype": "i64"}


def reference(ids, pad):
    """Padding everywhere but in the first and the last column."""
    _, width = ids["shape"]
    kept = [token if i % width in (0, width - 1) else pad for i, token in enumerate(ids["data"])]
    return {**ids, "data": kept}


BERT = {"kind": "huggingface", "path": "checkpoints/tiny-bert"}
OLD_BERT = {"kind": "huggingface", "path": "checkpoints/old-bert"}
BERT_IDS = token_ids([58, 7, 31, 44, 12, 31, 59], [58, 25, 0, 9, 59, 0, 0])
ROBERTA = {"kind": "huggingface", "path": "checkpoints/tiny-roberta"}
ROBERTA_IDS = token_ids([0, 17, 52, 8, 33, 17, 41, 2], [0, 29, 1, 1, 46, 2, 1, 1])
DISTILBERT = {"kind": "huggingface", "path": "checkpoints/tiny-distilbert"}
DISTILBERT_IDS = token_ids([3, 20, 55, 36, 14, 4], [3, 0, 47, 4, 0, 0])
ALBERT = {"kind": "huggingface", "path": "checkpoints/tiny-albert"}

# Families of which every case has a mask, and token types where the family has them.
SHORT_IDS = token_ids([2, 17, 5, 9, 31, 12, 3], [2, 44, 3, 8, 3, 0, 0])
SHORT_MASK = token_ids([1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0])
SHORT_TYPES = token_ids([0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0])
ROBERTA_MASK = token_ids([1] * 8, [1, 1, 0, 0, 1, 1, 0, 0])
LONG_IDS = token_ids([0, 17, 52, 8, 33, 17, 41, 9, 55, 20, 21, 36, 2],
                     [0, 29, 11, 46, 30, 58, 13, 13, 46, 2, 1, 1, 1])
LONG_MASK = token_ids([1] * 13, [1] * 10 + [0] * 3)

TINY_BERT = transformers.BertConfig(
    architectures=["BertForSequenceClassification"],
    vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=32, max_position_embeddings=12, pad_token_id=0,
    id2label={0: "negative", 1: "neutral", 2: "positive"},
    label2id={"negative": 0, "neutral": 1, "positive": 2},
)
TINY_ROBERTA = transformers.RobertaConfig(
    architectures=["RobertaForSequenceClassification"],
    vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
    intermediate_size=40, max_position_embeddings=14, type_vocab_size=1,
    layer_norm_eps=1e-5, bos_token_id=0, pad_token_id=1, eos_token_id=2, num_labels=1,
)
TINY_DISTILBERT = transformers.DistilBertConfig(
    architectures=["DistilBertForSequenceClassification"],
    vocab_size=60, dim=16, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=10,
    pad_token_id=0, num_labels=2,
)
SMALL = {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24, "pad_token_id": 0, "num_labels": 2}
LIKE_ROBERTA = SMALL | {"max_position_embeddings": 12, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
                        "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
TINY_XLM_ROBERTA = transformers.XLMRobertaConfig(
    architectures=["XLMRobertaForSequenceClassification"], **LIKE_ROBERTA)
TINY_CAMEMBERT = transformers.CamembertConfig(
    architectures=["CamembertForSequenceClassification"], **LIKE_ROBERTA)
TINY_ROBERTA_PRELAYERNORM = transformers.RobertaPreLayerNormConfig(
    architectures=["RobertaPreLayerNormForSequenceClassification"], **LIKE_ROBERTA | {"type_vocab_size": 2})
TINY_DATA2VEC_TEXT = transformers.Data2VecTextConfig(
    architectures=["Data2VecTextForSequenceClassification"], **LIKE_ROBERTA | {"type_vocab_size": 2})
TINY_ELECTRA = transformers.ElectraConfig(
    architectures=["ElectraForSequenceClassification"], **SMALL, embedding_size=10, max_position_embeddings=12)
TINY_ALBERT = transformers.AlbertConfig(
    architectures=["AlbertForSequenceClassification"], **SMALL | {"num_hidden_layers": 3}, embedding_size=10,
    num_hidden_groups=2, inner_group_num=2, max_position_embeddings=12)
TINY_DEBERTA_V2 = transformers.DebertaV2Config(
    architectures=["DebertaV2ForSequenceClassification"], **SMALL, embedding_size=10, max_position_embeddings=12,
    type_vocab_size=2, relative_attention=True, pos_att_type=["c2p", "p2c"], conv_kernel_size=3, conv_groups=2,
    conv_act="gelu")
TINY_DEBERTA_V3 = transformers.DebertaV2Config(
    architectures=["DebertaV2ForSequenceClassification"], **SMALL, max_position_embeddings=16,
    relative_attention=True, pos_att_type="p2c|c2p", position_buckets=6, norm_rel_ebd="layer_norm",
    share_att_key=True, position_biased_input=False)
TINY_MPNET = transformers.MPNetConfig(
    architectures=["MPNetForSequenceClassification"], **SMALL | {"pad_token_id": 1}, max_position_embeddings=16)
TINY_MODERNBERT = transformers.ModernBertConfig(
    architectures=["ModernBertForSequenceClassification"], **SMALL | {"num_hidden_layers": 4},
    max_position_embeddings=16, local_attention=4, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
BIASED_MODERNBERT = transformers.ModernBertConfig(
    architectures=["ModernBertForSequenceClassification"], **SMALL | {"num_hidden_layers": 3},
    max_position_embeddings=16, local_attention=6, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
    attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, classifier_pooling="mean",
    classifier_activation="tanh", hidden_activation="silu", norm_eps=1e-3, global_attn_every_n_layers=2,
    global_rope_theta=500.0, local_rope_theta=50.0)


def weights(seed, config):
    """By name; multiples of 2^-10 in [-1/2, 1/2], the scales of the layer norms 1 more.

    Whole numbers come out of a seed alike on every processor, which draws from a normal
    distribution need not.
    """
    state = transformers.AutoModelForSequenceClassification.from_config(config).state_dict()
    torch.manual_seed(seed)
    drawn = {}
    for name in sorted(state):
        shift = 1 if "norm" in name.lower() and name.endswith(".weight") else 0
        drawn[name] = torch.randint(-512, 513, state[name].shape) / 1024 + shift
    return drawn


def checkpoint(config, named):
    """The files of a checkpoint, `config` being its settings."""
    return {
        "config.json": (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
        "model.safetensors": safetensors.torch.save(named, metadata={"format": "pt"}),
    }


def old_checkpoint(config, named):
    """The same model as old checkpoints spell it, with tensors that it does not need."""
    config = {key: value for key, value in config.items()
              if key not in ("layer_norm_eps", "pad_token_id", "transformers_version")}
    config["position_embedding_type"] = "absolute"
    named = {name.replace("LayerNorm.weight", "LayerNorm.gamma")
             .replace("LayerNorm.bias", "LayerNorm.beta"): value for name, value in named.items()}
    named["bert.embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    named["cls.predictions.bias"] = torch.arange(config["vocab_size"]) / 64
    return checkpoint(config, named)


def modernbert_as_published(config):
    """The configuration as transformers before 5 writes it."""
    config = {key: value for key, value in config.items() if key not in ("layer_types", "rope_parameters")}
    return config | {"global_attn_every_n_layers": 2, "global_rope_theta": 500.0, "local_rope_theta": 50.0}


def pickled(config, named):
    """`pytorch_model.bin`: the state dict of the model with these weights, by `torch.save`."""
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.load_state_dict(named)
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getvalue()


def checkpoints():
    """Every file of `checkpoints/`, by its path in this folder."""
    folders = {}
    for name, seed, config in [("tiny-bert", 51, TINY_BERT), ("tiny-roberta", 52, TINY_ROBERTA),
                               ("tiny-distilbert", 53, TINY_DISTILBERT),
                               ("tiny-xlm-roberta", 54, TINY_XLM_ROBERTA),
                               ("tiny-camembert", 55, TINY_CAMEMBERT), ("tiny-electra", 56, TINY_ELECTRA),
                               ("tiny-albert", 57, TINY_ALBERT), ("tiny-deberta-v2", 58, TINY_DEBERTA_V2),
                               ("tiny-deberta-v3", 59, TINY_DEBERTA_V3), ("tiny-mpnet", 60, TINY_MPNET),
                               ("tiny-modernbert", 61, TINY_MODERNBERT),
                               ("tiny-roberta-prelayernorm", 63, TINY_ROBERTA_PRELAYERNORM),
                               ("tiny-data2vec-text", 64, TINY_DATA2VEC_TEXT)]:
        folders[name] = checkpoint(config.to_diff_dict(), weights(seed, config))
    folders["old-bert"] = old_checkpoint(TINY_BERT.to_diff_dict(), weights(51, TINY_BERT))
    folders["pickled-roberta"] = {
        "config.json": folders["tiny-roberta"]["config.json"],
        "pytorch_model.bin": pickled(TINY_ROBERTA, weights(52, TINY_ROBERTA)),
    }
    folders["biased-modernbert"] = checkpoint(
        modernbert_as_published(BIASED_MODERNBERT.to_diff_dict()), weights(62, BIASED_MODERNBERT))
    return {f"checkpoints/{folder}/{file}": content
            for folder, files in folders.items() for file, content in files.items()}

