"""Odd texts: every script, white space, marks, emoji, control characters, typed special tokens."""

import csv
import json
import pathlib
import random
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
COMMENTS = HERE.parents[2] / "data" / "comments.csv"
COUNT = 3000

# Where letters of a script are, and the marks that go with them.
SCRIPTS = {
    "latin": (["a-z", "A-Z", "À-ÿ", "Ā-ſ"], []),
    "vietnamese": (["a-y", "ạ-ỹ", "ăâđêôơư"], []),
    "greek": (["α-ω", "Α-Ρ"], ["\u0301"]),
    "cyrillic": (["а-я", "А-Я"], []),
    "arabic": (["ء-غ", "ف-ي"], ["\u064b-\u0652"]),
    "hebrew": (["א-ת"], ["\u05b0-\u05bc"]),
    "devanagari": (["अ-ह"], ["\u093e-\u094d"]),
    "thai": (["ก-ฮ"], ["\u0e34-\u0e3a", "\u0e47-\u0e4d"]),
    "chinese": (["一-龥"], []),
    "kana": (["ぁ-ん", "ァ-ヴ"], ["\u3099"]),
    "hangul": (["가-힣"], []),
    "jamo": (["\u1100-\u1112", "\u1161-\u1175"], ["\u11a8-\u11c2"]),
    "wide": (["Ａ-ｚ", "０-９"], []),
    "mathematical": (["\U0001d400-\U0001d433"], []),
    "far": (["\U00020000-\U00020100", "\ue000-\ue010"], []),
}
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u2009", "\u202f", "\u3000", "\u0085", "\u2028",
          "\u2029", "\x0b", "\x0c", "\x1c", "\x1f", "\u1680"]
INVISIBLE = ["\u200b", "\u200c", "\u200d", "\u00ad", "\ufeff", "\u2060", "\u202e", "\u200e", "\x00", "\x07", "\x1b",
             "\x7f", "\ufe0f", "\ufffd", "\uffff", "\U000e0041", "\u0378"]
EMOJI = ["😍", "😡", "👍🏽", "👨\u200d👩\u200d👧", "🇻🇳", "❤\ufe0f", "❤", "🏳\ufe0f\u200d🌈", "☺", "1\ufe0f\u20e3", "🥲"]
TYPED = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<|endoftext|>",
         "[cls]", "< s >", "<S>", "[ SEP ]", "<s>NOTUSED", "<extra>", "tuyệt_vời", "khủngkhiếp", "@user", "HTTPURL",
         "@@", "</w>", "##ing", "▁", "Ġ", "``", "''", "<0x0A>", "<<s>>", "#version"]
PIECES = ["0123456789", "1.250.000đ", "15%", "=)) :v <3 ^^", "T_T", "a_b", "e@shop.example", "https://a.example/?b=c&d=1",
          "...!!!???", "(tốt)", "\"đẹp\"", "don't", "I'LL", "we've", "ﬁ ﬀ", "½ ² ㎏ №", "ǅ ß İ ı ſ", "Ω Å K", "…—–‘’“”«»¿¡",
          "、。「」", "،؛؟", "।॥", "߷", "\u0301", "\u0300\u0301\u0323", "e\u0301\u0323\u0327", "ạ\u0301"]


def characters(ranges):
    found = []
    for part in ranges:
        if len(part) == 3 and part[1] == "-":
            found += [chr(code) for code in range(ord(part[0]), ord(part[2]) + 1)]
        else:
            found += part
    return found


LETTERS = {name: (characters(letters), characters(marks)) for name, (letters, marks) in SCRIPTS.items()}


def comments():
    with open(COMMENTS, encoding="utf-8", newline="") as file:
        return [row["text"].replace("_", " ") for row in csv.DictReader(file)]


def word(draw, script=None):
    letters, marks = LETTERS[script or draw.choice(list(LETTERS))]
    length = 120 if draw.random() < 0.004 else draw.randint(1, 8)
    made = ""
    for _ in range(length):
        made += draw.choice(letters)
        if marks and draw.random() < 0.4:
            made += draw.choice(marks)
    return made


def part(draw, sentences):
    kind = draw.random()
    if kind < 0.3:
        words = draw.choice(sentences).split(" ")
        start = draw.randrange(len(words))
        return " ".join(words[start:start + draw.randint(1, 6)])
    if kind < 0.6:
        script = draw.choice(list(LETTERS))
        return " ".join(word(draw, script) for _ in range(draw.randint(1, 3)))
    return draw.choice(draw.choice([SPACES, INVISIBLE, EMOJI, TYPED, TYPED, PIECES, PIECES]))


def changed(draw, text):
    kind = draw.random()
    if kind < 0.08:
        return unicodedata.normalize("NFD", text)
    if kind < 0.12:
        return unicodedata.normalize("NFC", text)
    if kind < 0.18:
        return text.upper()
    if kind < 0.22:
        return text.replace(" ", draw.choice(SPACES))
    if kind < 0.28 and text:
        place = draw.randrange(len(text) + 1)
        return text[:place] + draw.choice(INVISIBLE + EMOJI + ["\u0301", "_"]) + text[place:]
    return text


def odd_texts(count=COUNT, seed=20):
    draw = random.Random(seed)
    sentences = comments()
    texts = ["", *SPACES, *INVISIBLE, *EMOJI, *TYPED, *PIECES]
    while len(texts) < count:
        joined = ""
        for index in range(draw.randint(1, 5)):
            joined += draw.choice(["", " ", " ", draw.choice(SPACES)]) if index else ""
            joined += part(draw, sentences)
        texts.append(changed(draw, joined))
    return texts[:count]


def corpus(seed=7, without=()):
    """Sentences to train on: the comments, and made-up words of every script."""
    draw = random.Random(seed)
    words = {script: [word(draw, script) for _ in range(30)] for script in LETTERS if script not in without}
    lines = comments()
    for script, known in words.items():
        lines += [" ".join(draw.choices(known, k=draw.randint(3, 9))) for _ in range(20)]
    lines += [draw.choice(lines) + " " + draw.choice(EMOJI + PIECES) for _ in range(200)]
    return [line.replace("\n", " ") for line in lines]


def written(text):
    """A JSON string in which every character that is seen stands as it is."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() and not unicodedata.combining(c) else json.dumps(c)[1:-1] for c in quoted)


def texts_json():
    return "[\n" + ",\n".join(map(written, odd_texts())) + "\n]\n"
