#!/usr/bin/env python3
"""Times transformers' PhobertTokenizer on comments; the Rust benchmark starts it beside its own.

    python benches/phobert_tokenizer.py --vocabulary DIR --csv F.csv --out OUT.jsonl --cache C.json

DIR holds `vocab.txt` and `bpe.codes`; the comments are the column `text`. Each is encoded twice:
as it stands, and segmented by underthesea's word_tokenize(text, format="text"). Either text is
brought to NFC first, which the crate does and the tokenizer does not; nothing is truncated. OUT
gets a line per comment, by which the caller sees that both sides computed the same thing:

    {"raw_ids": [...], "segmented_ids": [...], "segmented": "..."}

where `segmented` is what underthesea gave, before NFC. The last line on the standard output has the
seconds of all calls of `encode`, with `<s>` and `</s>`; a new tokenizer, whose cache of words is
empty, begins each of the two. Segmenting takes longer than all else: its results are kept in C,
for the same version of underthesea. Needs transformers==5.23.0 and underthesea==9.5.0.
"""

import argparse
import csv
import json
import pathlib
import time
import unicodedata
from importlib.metadata import version

from transformers import PhobertTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent


def segment(texts, cache):
    """Each text's words joined by `_`, from the cache where it has them."""
    underthesea = version("underthesea")
    known = {}
    if cache and cache.exists():
        held = json.loads(cache.read_text(encoding="utf-8"))
        known = held["segmented"] if held["underthesea"] == underthesea else {}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if missing:
        from underthesea import word_tokenize  # slow to import

        known |= {text: word_tokenize(text, format="text") for text in missing}
        if cache:
            held = {"underthesea": underthesea, "segmented": known}
            cache.write_text(json.dumps(held, ensure_ascii=False), encoding="utf-8")
    return [known[text] for text in texts]


def encode(vocabulary, texts):
    """The ids of every text, and the seconds spent on them."""
    tokenizer = PhobertTokenizer(str(vocabulary / "vocab.txt"), str(vocabulary / "bpe.codes"))
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    start = time.perf_counter()
    ids = [tokenizer.encode(text) for text in texts]
    return ids, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    comments = ROOT.parent / "shared/data/vietnamese_comments.csv"
    parser.add_argument("--csv", type=pathlib.Path, default=comments)
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, help="default: segment again")
    args = parser.parse_args()

    with open(args.csv, encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    segmented = segment(texts, args.cache)
    raw_ids, raw_seconds = encode(args.vocabulary, texts)
    segmented_ids, segmented_seconds = encode(args.vocabulary, segmented)

    with open(args.out, "w", encoding="utf-8") as out:
        for raw, words, text in zip(raw_ids, segmented_ids, segmented, strict=True):
            line = {"raw_ids": raw, "segmented_ids": words, "segmented": text}
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(json.dumps({
        "comments": len(texts),
        "raw_seconds": round(raw_seconds, 3),
        "segmented_seconds": round(segmented_seconds, 3),
        "transformers": version("transformers"),
    }))


if __name__ == "__main__":
    main()
