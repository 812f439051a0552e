#!/usr/bin/env python3
"""Learns Vietnamese word segmentation from underthesea's and writes segmenter_vi.bin.

    python data/segmenter_vi.py COMMENTS.csv [--train 11000] [--test 1000] [--out FILE] [--cache C.json]

An averaged perceptron decides for each gap between two tokens whether they belong to one word. It
is trained on the first comments as underthesea's word_tokenize joins them, and compared with it on
the last ones. Only hashed features that came up twice have a weight, so that no text can be read
back. src/text/segmenter.rs decides with the same rules; `--expected FILE` writes what they give for
data/comments.csv, for its test. Needs underthesea==9.5.0.
"""

import argparse
import csv
import json
import pathlib
import random
import re
import unicodedata
from collections import Counter
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parent
BITS = 18
EPOCHS = 12
LEAST_COUNT = 2
SEED = 13
TOKEN = re.compile(
    r"https?://\S+|<3|[:=]\)+|[=-]>|\.{2,}"
    r"|[0-9]+(?:[.,/:-][0-9]+)*(?:[A-Z]+(?![a-z]))?"
    r"|[^\W0-9_]+[0-9]*(?:[-'][^\W0-9_]+)*"
    r"|_+|\s+|[^\w\s]"
)
JOINED = re.compile("[\u200d\ufe0f\U0001f3fb-\U0001f3ff\u0300-\u036f]")


def tokens(text):
    """Words, numbers and punctuation; what belongs to the character before it stays there."""
    found = []
    for match in TOKEN.finditer(unicodedata.normalize("NFC", text)):
        token = match.group()
        if token.isspace():
            found.append(None)
        elif found and found[-1] and (JOINED.match(token) or found[-1].endswith("\u200d")):
            found[-1] += token
        else:
            found.append(token)
    return [token for token in found if token]


def teacher(segmented):
    """underthesea's tokens, and for each whether the next one belongs to its word."""
    found, joined = [], []
    for word in unicodedata.normalize("NFC", segmented).split(" "):
        parts = [part for part in word.split("_") if part]
        found += parts
        joined += [index + 1 < len(parts) for index in range(len(parts))]
    return found, joined


def bucket(feature):
    """FNV-1a, folded to the table's size."""
    value = 0xCBF29CE484222325
    for byte in feature.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 32)) & ((1 << BITS) - 1)


def shape(token):
    if token[0].isalpha():
        return "X" if token[0].isupper() else "x"
    return "0" if token[0].isdigit() else "."


def features(found):
    """The buckets of every gap that do not depend on earlier decisions."""
    lower = [token.lower() for token in found]
    rows = []
    for i in range(len(found) - 1):
        before = lower[i - 1] if i else ""
        behind = lower[i + 2] if i + 2 < len(found) else ""
        a, b = lower[i], lower[i + 1]
        rows.append([bucket(feature) for feature in (
            "bias", f"a|{a}", f"b|{b}", f"ab|{a}|{b}", f"pa|{before}|{a}", f"bn|{b}|{behind}", f"p|{before}",
            f"n|{behind}", f"pb|{before}|{b}", f"an|{a}|{behind}", f"s|{shape(found[i])}{shape(found[i + 1])}",
        )])
    return lower, rows


def of_run(lower, i, run):
    """The buckets that tell how many gaps were joined just before."""
    run = min(run, 3)
    return [bucket(f"r|{run}"), bucket(f"ra|{run}|{lower[i]}"), bucket(f"rb|{run}|{lower[i + 1]}")]


def may_join(found, i):
    """Nothing joins punctuation."""
    return found[i][0].isalnum() and found[i + 1][0].isalnum()


def segment(text, weights):
    found = tokens(text)
    lower, rows = features(found)
    out, run = found[:1], 0
    for i, row in enumerate(rows):
        join = may_join(found, i) and sum(weights[k] for k in row + of_run(lower, i, run)) > 0
        run = run + 1 if join else 0
        out.append(("_" if join else " ") + found[i + 1])
    return "".join(out)


def train(pairs):
    examples = []
    for text, segmented in pairs:
        found, joined = teacher(segmented)
        if tokens(text) == found:
            may = [may_join(found, i) for i in range(len(found) - 1)]
            examples.append((*features(found), joined, may))
    counts = Counter(k for _, rows, _, _ in examples for row in rows for k in row)
    examples = [(lower, [[k for k in row if counts[k] >= LEAST_COUNT] for row in rows], joined, may)
                for lower, rows, joined, may in examples]
    weights, sums, clock = [0] * (1 << BITS), [0] * (1 << BITS), 1
    shuffle = random.Random(SEED)
    for epoch in range(EPOCHS):
        shuffle.shuffle(examples)
        wrong = gaps = 0
        for lower, rows, joined, may in examples:
            run = 0
            for i, row in enumerate(rows):
                if not may[i]:
                    run = 0
                    continue
                active = row + of_run(lower, i, run)
                join = sum(weights[k] for k in active) > 0
                gaps += 1
                clock += 1
                if join != joined[i]:
                    wrong += 1
                    step = 1 if joined[i] else -1
                    for k in active:
                        weights[k] += step
                        sums[k] += step * clock
                run = run + 1 if join else 0
        print(f"epoch {epoch + 1} of {EPOCHS}: {wrong} of {gaps} gaps decided otherwise", flush=True)
    mean = [weight - total / clock for weight, total in zip(weights, sums)]
    largest = max(map(abs, mean))
    return [round(127 * weight / largest) for weight in mean]


def spans(segmented):
    position, found = 0, set()
    for word in segmented.split(" "):
        length = len(word.replace("_", ""))
        found.add((position, position + length))
        position += length
    return found


def compare(pairs, weights):
    right = ours = theirs = equal = 0
    for text, segmented in pairs:
        segmented, own = unicodedata.normalize("NFC", segmented), segment(text, weights)
        a, b = spans(segmented), spans(own)
        right, theirs, ours, equal = right + len(a & b), theirs + len(a), ours + len(b), equal + (segmented == own)
    precision, recall = right / ours, right / theirs
    score = 2 * precision * recall / (precision + recall)
    print(f"{len(pairs)} comments: F1 {score:.4f}, precision {precision:.4f}, recall {recall:.4f}; {equal} equal")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("comments", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=11000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "segmenter_vi.bin")
    parser.add_argument("--cache", type=pathlib.Path, help="keeps underthesea's segmentation")
    parser.add_argument("--expected", type=pathlib.Path, help="what the rules give for data/comments.csv")
    args = parser.parse_args()

    with open(args.comments, encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    known = {}
    if args.cache and args.cache.exists():
        held = json.loads(args.cache.read_text(encoding="utf-8"))
        known = held["segmented"] if held["underthesea"] == version("underthesea") else {}
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if missing:
        from underthesea import word_tokenize  # slow to import

        known |= {text: word_tokenize(text, format="text") for text in missing}
    pairs = [(text, known[text]) for text in texts]
    weights = train(pairs[:args.train])
    args.out.write_bytes(bytes(weight & 0xFF for weight in weights))
    compare(pairs[-args.test:], weights)
    if args.expected:
        with open(ROOT / "comments.csv", encoding="utf-8", newline="") as file:
            raw = [row["text"].replace("_", " ") for row in csv.DictReader(file)]
        raw += ["Máy tốt.Giao nhanh!!! 4G, ip6 16GB :)) <3 2-3 ngày...", "👍🏽 rất OK 👩‍👩‍👧", "xem https://a.b/c_d?e=1 nhé",
                "đê\u0309 xem", "Sản phẩm này rất tốt, nhưng giao hàng quá chậm"]
        lines = [json.dumps([text, segment(text, weights)], ensure_ascii=False) for text in raw]
        args.expected.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
