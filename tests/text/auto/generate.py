#!/usr/bin/env python3
"""Odd texts, and hashes of what AutoTokenizer of transformers makes of them with each folder here.

    python tests/text/auto/generate.py            # write texts.json and expected.json
    python tests/text/auto/generate.py --check    # compare them, byte by byte
    python tests/text/auto/generate.py --train    # train the tokenizers of the folders anew first

A folder is what somebody may have: a vocabulary alone, a tokenizer.json that the settings beside it
contradict, tokens added in any of the four ways. README.md lists them. PhoBERT's own vocabulary is read from
../shared/data/phobert beside the checkout, where it is; without it its line is kept as it is. The versions are
those of ../tokenizers/requirements.txt with sentencepiece 0.2.3 and protobuf 7.36.2.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unicodedata

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import sentencepiece
import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from odd_texts import corpus, odd_texts, texts_json

HERE = pathlib.Path(__file__).resolve().parent
PHOBERT = HERE.parents[3] / "shared" / "data" / "phobert"
GROUP = 10  # texts a hash
SIZE = 420
PIECES = 900  # of SentencePiece

LARGE_SCRIPTS = {"chinese", "hangul", "far", "mathematical", "wide"}  # more characters than pieces

TOKEN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": False}


def token(content, **how):
    return {"content": content, **TOKEN, **how}


# Training.


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(corpus(), trainers.WordPieceTrainer(
        vocab_size=SIZE, special_tokens=special, limit_alphabet=220, show_progress=False))
    pieces = special + sorted(tokenizer.get_vocab().keys() - set(special))
    return pieces


def byte_level(special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def word_end_bpe():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=SIZE, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], limit_alphabet=150,
        end_of_word_suffix="</w>", show_progress=False))
    return tokenizer


def sentencepiece_model(**how):
    """A small table of characters stands in for the large one of NFKC. A model keeps the names of the files that it was
    trained on, so they are relative to their folder, whose name is another each time."""
    rules = {"Ａ": "A", "ｚ": "z", "½": "1⁄2", "ﬁ": "fi", "\u3000": " ", "\u00a0": " ", "\t": " ", "\n": " ",
             "e\u0301": "é", "…": "...", "\u200b": "", "\ufe0f": "", "İ": "i", "के": "क", "\u1161": "\u1162"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        pathlib.Path("corpus.txt").write_text("\n".join(corpus(without=LARGE_SCRIPTS)) + "\n", encoding="utf-8")
        rows = [" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new)
                for old, new in rules.items()]
        pathlib.Path("rules.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input="corpus.txt", model_prefix="spm", vocab_size=PIECES, model_type="unigram",
            normalization_rule_tsv="rules.tsv", character_coverage=0.98, num_threads=1,
            minloglevel=2, hard_vocab_limit=False, **how)
        return pathlib.Path("spm.model").read_bytes()


def vocab_and_merges(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return compact(model["vocab"]), "#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def settings(**values):
    return json.dumps(values, ensure_ascii=False, indent=1) + "\n"


def trained():
    """The files of every folder."""
    pieces = wordpiece()
    vocab_txt = "".join(f"{piece}\n" for piece in pieces)
    roberta_tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    roberta_vocab, roberta_merges = vocab_and_merges(byte_level(roberta_tokens))
    gpt2_vocab, gpt2_merges = vocab_and_merges(byte_level(["<|endoftext|>"]))
    herbert_vocab, herbert_merges = vocab_and_merges(word_end_bpe())
    xlmr = sentencepiece_model(control_symbols="<extra>", user_defined_symbols="@user,khủngkhiếp")
    camembert = sentencepiece_model(unk_id=0, bos_id=1, eos_id=2)
    albert = sentencepiece_model(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]")
    deberta = sentencepiece_model(
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
        unk_piece="[UNK]")
    bert, roberta = {"model_type": "bert"}, {"model_type": "roberta"}

    # A vocabulary of BERT's in a tokenizer.json that says other things than the settings beside it.
    fast = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    fast.normalizer = normalizers.BertNormalizer(lowercase=True)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    contradicted = fast.to_str() + "\n"
    oov = json.loads(contradicted.replace("[UNK]", "<oov>"))
    oov["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}

    byte_json = byte_level(roberta_tokens)
    byte_json.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)

    unigram = as_saved("XLMRobertaTokenizer", "sentencepiece.bpe.model", xlmr)
    numbered = {str(i): token(piece, special=True) for i, piece in enumerate(pieces[:5])}
    return {
        "bert-vocab": {"config.json": settings(**bert), "vocab.txt": vocab_txt},
        "bert-cased": {
            "config.json": settings(**bert), "tokenizer.json": contradicted,
            "tokenizer_config.json": settings(
                tokenizer_class="BertTokenizerFast", do_lower_case=False, tokenize_chinese_chars=False,
                model_max_length=12, truncation_side="left",
                added_tokens_decoder={**numbered, str(len(pieces)): token("😍"), str(len(pieces) + 1): token("tuyệt_vời", normalized=True),
                                      str(len(pieces) + 2): token("@user", single_word=True)}),
        },
        "bert-accents": {
            "config.json": settings(**bert), "tokenizer.json": contradicted,
            "tokenizer_config.json": settings(tokenizer_class="BertTokenizer", strip_accents=True, do_lower_case=False,
                                              model_max_length=1e30),
            "special_tokens_map.json": settings(
                mask_token=token("[MASK]", lstrip=True), additional_special_tokens=["khủngkhiếp"],
                cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", unk_token="[UNK]"),
            "added_tokens.json": settings(**{"😍": len(pieces), "khủngkhiếp": len(pieces) + 1, "Tuyệt_Vời": len(pieces) + 2}),
        },
        "wordpiece-as-written": {
            "config.json": settings(**bert), "tokenizer.json": json.dumps(oov, ensure_ascii=False) + "\n",
            "tokenizer_config.json": settings(
                tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False, unk_token="<oov>", pad_token="[PAD]",
                extra_special_tokens=["@user"],
                added_tokens_decoder={str(len(pieces)): token("😍", rstrip=True), str(len(pieces) + 1): token("☺", lstrip=True)}),
        },
        "mpnet-vocab": {
            "tokenizer_config.json": settings(tokenizer_class="MPNetTokenizer"), "config.json": settings(**bert),
            "vocab.txt": vocab_txt.replace("[PAD]", "<pad>").replace("[CLS]", "<s>").replace("[SEP]", "</s>")
            .replace("[MASK]", "<mask>"),
        },
        "roberta-vocab": {
            "config.json": settings(**roberta), "vocab.json": roberta_vocab, "merges.txt": roberta_merges},
        "roberta-prefix": {
            "config.json": settings(**roberta), "tokenizer.json": byte_json.to_str() + "\n",
            "tokenizer_config.json": settings(
                tokenizer_class="RobertaTokenizer", add_prefix_space=True, trim_offsets=False, model_max_length=16,
                mask_token={"__type": "AddedToken", **token("<mask>", lstrip=True, special=True)}),
            "added_tokens.json": settings(**{"😍": SIZE, "tuyệt_vời": SIZE + 1}),
        },
        "gpt2-vocab": {
            "config.json": settings(**roberta), "vocab.json": gpt2_vocab, "merges.txt": gpt2_merges,
            "tokenizer_config.json": settings(tokenizer_class="GPT2TokenizerFast", add_bos_token=True,
                                              pad_token="<|endoftext|>", add_prefix_space=True),
        },
        "herbert-vocab": {
            "config.json": settings(**bert), "vocab.json": herbert_vocab, "merges.txt": herbert_merges,
            "tokenizer_config.json": settings(tokenizer_class="HerbertTokenizerFast"),
        },
        "xlm-roberta-spm": {"config.json": settings(model_type="xlm-roberta"), "sentencepiece.bpe.model": xlmr},
        "xlm-roberta-fast": {
            "config.json": settings(**bert), "tokenizer.json": unigram,
            "tokenizer_config.json": settings(
                tokenizer_class="XLMRobertaTokenizer", model_max_length=20, add_prefix_space=False,
                mask_token={"__type": "AddedToken", **token("<mask>", lstrip=True, normalized=True, special=True)}),
            "special_tokens_map.json": settings(pad_token=token("<pad>"), additional_special_tokens=["tuyệt_vời"]),
        },
        "camembert-spm": {"config.json": settings(model_type="camembert"), "sentencepiece.bpe.model": camembert},
        "albert-spm": {
            "config.json": settings(**bert), "spiece.model": albert,
            "tokenizer_config.json": settings(tokenizer_class="AlbertTokenizer", keep_accents=True),
        },
        "albert-lower": {
            "config.json": settings(model_type="albert"), "spiece.model": albert,
            "added_tokens.json": settings(**{"😍": PIECES, "@user": PIECES + 1}),
        },
        "deberta-spm": {"config.json": settings(model_type="deberta-v2"), "spm.model": deberta},
        "deberta-fast": {
            "config.json": settings(**bert), "tokenizer.json": as_saved("DebertaV2Tokenizer", "spm.model", deberta),
            "tokenizer_config.json": settings(
                tokenizer_class="DebertaV2Tokenizer", do_lower_case=True, split_by_punct=True, add_prefix_space=False,
                model_max_length=20),
            "added_tokens.json": settings(**{"[MASK]": PIECES, "😍": PIECES + 1, "tuyệt_vời": PIECES + 2}),
        },
        "phobert-added": {
            "config.json": settings(**roberta),
            "tokenizer_config.json": settings(tokenizer_class="PhobertTokenizerFast", model_max_length=14),
            "added_tokens.json": settings(**{"<mask>": 582, "😍": 583, "tuyệt_vời": 584}),
            **{file: (HERE.parent / "tokenizers" / "phobert" / file).read_text(encoding="utf-8")
               for file in ("vocab.txt", "bpe.codes")},
        },
    }


def as_saved(name, file, model):
    """The tokenizer.json that transformers saves of a SentencePiece model."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / file).write_bytes(model)
        getattr(transformers, name).from_pretrained(folder).save_pretrained(folder)
        text = (pathlib.Path(folder) / "tokenizer.json").read_text(encoding="utf-8")
        return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")) + "\n"


def train():
    for name, files in trained().items():
        shutil.rmtree(HERE / name, ignore_errors=True)
        (HERE / name).mkdir()
        for file, content in files.items():
            content = content if isinstance(content, bytes) else content.encode("utf-8")
            (HERE / name / file).write_bytes(content)


# What transformers makes of the texts.


def fnv(numbers):
    value = 0xcbf29ce484222325
    for number in numbers:
        for byte in number.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return f"{value:016x}"


END = 0xffffffff  # behind the ids of a text


def expected(folder, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if isinstance(tokenizer, transformers.PhobertTokenizer):
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    groups = [texts[start:start + GROUP] for start in range(0, len(texts), GROUP)]
    ids = [fnv(number for text in group for number in [*tokenizer(text)["input_ids"], END]) for group in groups]
    pairs, cut = [], []
    for group in groups:
        pair = tokenizer(group[0], group[1], return_token_type_ids=True)
        pairs += [*pair["input_ids"], END, *pair["token_type_ids"], END]
        cut += [*tokenizer(group[2], truncation=True)["input_ids"], END]
        cut += [*tokenizer(group[3], group[4], truncation=True)["input_ids"], END]
    return {"class": type(tokenizer).__name__, "padding": tokenizer.pad_token_id, "size": len(tokenizer),
            "ids": ids, "pairs": fnv(pairs), "cut": fnv(cut)}


def expected_json():
    texts = odd_texts()
    old = json.loads((HERE / "expected.json").read_text()) if (HERE / "expected.json").exists() else {}
    folders = sorted(path for path in HERE.iterdir() if (path / "config.json").exists())
    lines = {path.name: expected(path, texts) for path in folders}
    if PHOBERT.exists():
        with tempfile.TemporaryDirectory() as folder:
            for file in ("vocab.txt", "bpe.codes"):
                shutil.copy(PHOBERT / file, folder)
            settings_of = settings(tokenizer_class="PhobertTokenizer")
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(settings_of)
            (pathlib.Path(folder) / "config.json").write_text(settings(model_type="roberta"))
            lines["phobert"] = expected(folder, texts)
    elif "phobert" in old:
        lines["phobert"] = old["phobert"]
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(line)}" for name, line in lines.items()) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--train", action="store_true", help="train the tokenizers anew")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if arguments.train:
        train()
    files = {"texts.json": texts_json(), "expected.json": expected_json()}
    for name, text in files.items():
        if not arguments.check:
            (HERE / name).write_text(text, encoding="utf-8", newline="")
        elif (HERE / name).read_text(encoding="utf-8") != text:
            sys.exit(f"{name} is not as generated")
    print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}: all is well")


if __name__ == "__main__":
    main()
