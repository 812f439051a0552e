#!/usr/bin/env python3
"""Trains four tiny tokenizers on data/comments.csv and records what they make of texts.

    python tests/text/tokenizers/generate.py            # write the files of this folder
    python tests/text/tokenizers/generate.py --check    # compare them, byte by byte

`phobert/` gets `vocab.txt` and `bpe.codes`, learned here in the way and form of fastBPE; the ids
are those of transformers' PhobertTokenizer. `wordpiece/`, `byte_level_bpe/` and `unigram/` get a
`tokenizer.json`, trained and run by the tokenizers library. README.md describes `expected.json`,
and requirements.txt pins the versions. Nothing is random and nothing is fetched.
"""

import argparse
import collections
import csv
import json
import math
import os
import pathlib
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one order of training
os.environ["RAYON_NUM_THREADS"] = "1"

import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
COMMENTS = HERE.parents[2] / "data" / "comments.csv"
NBSP = "\u00a0"


def segmented_comments():
    with open(COMMENTS, encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def unsegmented(text):
    return text.replace("_", " ")


# PhoBERT.

MERGES = 600
RAREST = 2  # how often a piece must occur to get a line in vocab.txt

# fastBPE splits at plain spaces, so a no-break space is a character like any other to it, while
# PhobertTokenizer splits the lines of bpe.codes at any white space. Each of these words occurs once
# and makes lines with no-break spaces where PhoBERT's file has them.
NBSP_WORDS = [
    *(f"{digit}{NBSP}kg" for digit in "23456789"),
    *(f"{digit}{NBSP}°C" for digit in "2356789"),
    *(f"{before}{NBSP}{NBSP}{after}" for before, after in zip("àếởìýụ", "ổầyẽừx")),
    *(f"{word}i{NBSP}{after}" for word, after in zip(("ta", "mũ", "nú", "đồ", "hơ"), "ảởúệs")),
]

# A word that PhobertTokenizer joins by the line "[nbsp]° C</w>", which to it says "°" and "C</w>".
MISREAD_PIECES = {"°C": 5, "°@@": 4}


def symbols(word):
    return [*word[:-1], word[-1] + "</w>"]


def join(word, first, second):
    joined, i = [], 0
    while i < len(word):
        if word[i:i + 2] == [first, second]:
            joined.append(first + second)
            i += 2
        else:
            joined.append(word[i])
            i += 1
    return joined


def shown(symbol):
    """As vocab.txt has it."""
    return symbol.removesuffix("</w>") if symbol.endswith("</w>") else symbol + "@@"


def learn(words):
    """The codes [(first, second, count)] and every word's symbols after all of them."""
    split = {word: symbols(word) for word in sorted(words)}
    codes = []
    while len(codes) < MERGES:
        pairs = collections.Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        (first, second), count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        codes.append((first, second, count))
        split = {word: join(parts, first, second) for word, parts in split.items()}
    return codes, split


def phobert_files():
    words = collections.Counter(NBSP_WORDS)
    for text in segmented_comments():
        words.update(text.split(" "))
    codes, split = learn(words)

    pieces = collections.Counter(MISREAD_PIECES)
    for word, parts in split.items():
        for part in parts:
            pieces[shown(part)] += words[word]
    kept = [(piece, count) for piece, count in pieces.items()
            if count >= RAREST and NBSP not in piece]
    kept.sort(key=lambda item: (-item[1], item[0]))
    lines = [f"{first} {second} {count}" for first, second, count in codes]

    # What README.md says of the two files.
    known = {piece for piece, _ in kept}
    assert {shown(first + second) for first, second, _ in codes} - known
    assert {len(line.split()) for line in lines if NBSP in line} == {1, 2, 3}
    assert ["°", "C</w>"] in [line.split()[:-1] for line in lines]
    assert {"k", ".", ","} <= known and "z" not in known
    return {
        "phobert/bpe.codes": "".join(f"{line}\n" for line in lines),
        "phobert/vocab.txt": "".join(f"{piece} {count}\n" for piece, count in kept),
    }


def phobert_expected(files):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in ("vocab.txt", "bpe.codes"):
            path = pathlib.Path(folder) / name
            path.write_text(files[f"phobert/{name}"], encoding="utf-8", newline="")
            paths.append(str(path))
        tokenizer = transformers.PhobertTokenizer(*paths)

    def case(text):
        composed = unicodedata.normalize("NFC", text)
        marks = {"nfc": True} if composed != text else {}
        ids = tokenizer.encode(composed)
        pieces = [tokenizer.cls_token, *tokenizer.tokenize(composed), tokenizer.sep_token]
        assert ids == tokenizer.convert_tokens_to_ids(pieces)
        return {"text": text, **marks, "ids": ids, "pieces": pieces}

    comments = segmented_comments()
    texts = [*comments[:90], *map(unsegmented, comments[90:]), *ODD, *ODD_PHOBERT]
    assert len(set(texts)) == len(texts)
    return {"texts": [case(text) for text in texts],
            "special_tokens_in_text": [case(text) for text in SPECIAL]}


# The tokenizers library.


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # which takes the accents too
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    train(tokenizer, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special,
                                               continuing_subword_prefix="##", show_progress=False))
    # The trainer finds the same pieces each time, but in no certain order.
    pieces = special + sorted(tokenizer.get_vocab().keys() - set(special))
    tokenizer.model = models.WordPiece({piece: i for i, piece in enumerate(pieces)},
                                       unk_token="[UNK]", max_input_chars_per_word=100)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=ends)
    return tokenizer


def byte_level_bpe():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False)]
    train(tokenizer, trainers.BpeTrainer(vocab_size=600, special_tokens=special,
                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                         show_progress=False))
    ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True,
                                                            add_prefix_space=True)
    return tokenizer


def unigram():
    """NFKC and the joining of spaces stand in for the table of characters that XLM-R ships."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    train(tokenizer, trainers.UnigramTrainer(vocab_size=500, unk_token="<unk>", show_progress=False,
                                             special_tokens=special))
    # Here too the pieces are certain, but not the last digits of their scores: in their place comes
    # the logarithm of how often a piece stands in the comments.
    words = collections.Counter()
    for text in map(unsegmented, segmented_comments()):
        normal = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    counts = {piece: sum(word.count(piece) * n for word, n in words.items())
              for piece in tokenizer.get_vocab().keys() - set(special)}
    total = sum(counts.values())
    scores = [(piece, round(math.log(count / total), 4)) for piece, count in counts.items()]
    scores.sort(key=lambda item: (-item[1], item[0]))
    tokenizer.model = models.Unigram([*((token, 0.0) for token in special), *scores],
                                     unk_id=special.index("<unk>"), byte_fallback=False)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends)
    return tokenizer


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(map(unsegmented, segmented_comments()), trainer=trainer)


FAST = {"wordpiece": wordpiece, "byte_level_bpe": byte_level_bpe, "unigram": unigram}


def fast_expected(text_of_file):
    tokenizer = Tokenizer.from_str(text_of_file)

    def case(text):
        encoding = tokenizer.encode(text)
        return {"text": text, "ids": encoding.ids, "pieces": encoding.tokens,
                "offsets": encoding.offsets, "word_ids": encoding.word_ids}

    comments = segmented_comments()
    texts = [*map(unsegmented, comments[::8]), *comments[32:36], *ODD, *SPECIAL, *SPECIAL_BERT]
    assert len(set(texts)) == len(texts)
    return {"texts": [case(text) for text in texts]}


# Texts that are not comments. Marks and invisible characters are written out.

ODD = [
    "",
    " ",
    "   ",
    "\t",
    "\n",
    NBSP,
    "  hàng   đẹp  ",
    "hàng\tđẹp",
    " \n hàng \n đẹp \n ",
    "hàng\r\nđẹp",
    f"hàng{NBSP}đẹp",
    f"2{NBSP}kg và 3 kg{NBSP}",
    "hàng\u2003đẹp\u3000quá\u202fnhé",
    "hàng\u200bđẹp",
    "\ufeffhàng đẹp",
    "hàng đẹp 😍😍 quá 😡",
    "👨\u200d👩\u200d👧\u200d👦 cả nhà thích 👍🏽",
    "cờ 🇻🇳 và tim ❤\ufe0f",
    unicodedata.normalize("NFD", "Đẹp lắm, mềm mượt, giữ phom tốt"),
    unicodedata.normalize("NFD", "dễ_thương"),
    "ĐẸP LẮM Shop ƠI",
    "Giá 1.250.000đ, giảm 15% còn 1062500",
    "30°C hay 9 °C?",
    "...!!!???",
    "(tốt) \"đẹp\" 'bền' [rẻ] {mới} <xinh>",
    "hàng.đẹp,giao-nhanh/rẻ",
    "siêu" + "đẹpơi" * 30,
    "a",
    "k",
    "字 和 漢字 ไทย Привет",
    "email@shop.example https://shop.example/a?b=c&d=1",
    "=)) :v <3 ^^ T_T",
    "áo_len_ _mềm _ __",
]

ODD_PHOBERT = [
    # A newline right behind a word becomes its last character; elsewhere it is a space.
    "hàng\nđẹp",
    "k\nk",
    "hàng\n\nđẹp\n",
    # White space to Python, though not to Unicode: U+001C to U+001F.
    "hàng\x1cđẹp\x1fquá\x85nhé",
    "\u2028hàng\u2029đẹp\x0b\x0cquá",
    # The marks of the two files.
    "hàng@@ đẹp",
    "@@",
    "@@@ @",
    "đẹp</w>",
    "</w>",
    "n</w>g",
    "°C °F 30°F",
    "z",
    "đ",
    "字",
]

SPECIAL = [
    "<s>",
    "hàng <s> đẹp </s> quá",
    "hàng<s>đẹp</s>quá",
    "hàng <mask> quá",
    "hàng<mask>đẹp",
    "<mask> <mask><mask>",
    "hàng  <mask>  đẹp",
    "<pad>hàng<pad>",
    "hàng <unk> đẹp",
    "<<s>>",
    "<s <s> s>",
    "</s</s>",
    "<S> <MASK> < mask >",
    "<mask>\nđẹp\n<mask>",
]

SPECIAL_BERT = [
    "[CLS] hàng [SEP] đẹp",
    "hàng[MASK]đẹp",
    "[UNK] [PAD] [cls] [ MASK ]",
]


# Files.


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def expected_json(lists):
    """A line per text."""
    parts = [f'"{name}":[\n' + ",\n".join(map(compact, cases)) + "\n]"
             for name, cases in lists.items()]
    return "{" + ",\n".join(parts) + "}\n"


def generate():
    files = phobert_files()
    files["phobert/expected.json"] = expected_json(phobert_expected(files))
    for name, build in FAST.items():
        saved = build().to_str() + "\n"
        files[f"{name}/tokenizer.json"] = saved
        files[f"{name}/expected.json"] = expected_json(fast_expected(saved))
    return {name: text.encode("utf-8") for name, text in files.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    transformers.logging.set_verbosity_error()

    files = generate()
    present = {path.relative_to(HERE).as_posix() for folder in ("phobert", *FAST)
               for path in HERE.glob(f"{folder}/*")}
    wrong = sorted(present - set(files))
    for name, content in files.items():
        path = HERE / name
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            wrong.append(name)
    if wrong:
        sys.exit("not as generated: " + ", ".join(wrong))
    print(f"{len(files)} files {'agree' if check else 'written'}")


if __name__ == "__main__":
    main()
