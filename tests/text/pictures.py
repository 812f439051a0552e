"""Looks at figures in a headless Chromium: HTML and SVG, on light and dark grounds.

    pip install websocket-client
    cargo run --release --example scripts -- FOLDER
    cargo run --release --example pictures -- FOLDER
    python tests/text/pictures.py FOLDER [--screenshots FOLDER] [--chromium PROGRAM]

One line a check; exits 1 if one fails.
"""

import argparse
import base64
import json
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "server" / "tests" / "clients"))

from checks import Checks
from page import FAINT_TEXTS, LOWEST_CONTRAST, THEMES, Page, browser

RIGHT_TO_LEFT = ["arabic", "arabic-labels", "arabic-with-vowels", "hebrew-with-vowels", "persian"]
LEFT_TO_RIGHT = ["vietnamese", "vietnamese-decomposed", "hindi", "thai", "chinese", "japanese", "korean", "emoji"]
WIDTHS = [1000, 400]
GROUNDS = {"light": "background: #ffffff; color: #000000", "dark": "background: #111111; color: #eeeeee"}

# A notebook's ground and its colour for letters, around a figure.
PAINT = "style => { (document.body ?? document.documentElement).style = style; }"

# The boxes of the words, each with its text and its place.
BOXES = """
[...document.querySelectorAll("span[title], g")]
  .map((box) => [(box.querySelector("text") ?? box).textContent, (box.querySelector("rect") ?? box).getClientRects()])
  .map(([word, [{ left, right, top, bottom }, ...more]]) => ({ word, left, right, top, bottom, parts: 1 + more.length }))
"""

# Where the steps of the scale begin.
LEGEND = """
[...document.querySelectorAll("div[dir] > span")].slice(0, 7).map((step) => step.getBoundingClientRect().left)
"""

# Letters of an SVG that stand outside of their boxes.
OUTSIDE = """
[...document.querySelectorAll("g")]
  .map((box) => [box.querySelector(":scope > text"), box.querySelector(":scope > rect")])
  .filter(([text, box]) => text && box)
  .map(([text, box]) => [text, box.getBoundingClientRect()])
  .filter(([text, box]) => {
    const letters = text.getBoundingClientRect();
    return letters.left < box.left - 1 || letters.right > box.right + 1;
  })
  .map(([text]) => text.textContent)
"""

# Letters of an SVG that are cut off at its edge.
CUT = """
(() => {
  const edge = document.documentElement.getBoundingClientRect();
  return [...document.querySelectorAll("text")]
    .map((text) => [text.textContent.trim(), text.getBoundingClientRect()])
    .filter(([text]) => text)
    .filter(([, box]) => box.left < edge.left || box.right > edge.right || box.top < edge.top || box.bottom > edge.bottom)
    .map(([text]) => text);
})()
"""

# Letters of an SVG that stand on other letters; slanted ones are not looked at.
ON_EACH_OTHER = """
(() => {
  const texts = [...document.querySelectorAll("text:not([transform])")]
    .filter((text) => text.textContent.trim())
    .map((text) => [text.textContent.trim(), text.getBoundingClientRect()]);
  const deep = (a, b) =>
    Math.min(Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  return texts.flatMap(([text, box], at) =>
    texts.slice(at + 1).filter(([, other]) => deep(box, other) > 3).map(([other]) => [text, other])
  );
})()
"""

# Letters of an SVG that hardly differ from what they are painted on.
FAINT_LETTERS = """
((wanted) => {
  const light = (colour) => {
    const channel = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((part) => channel(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
  };
  const contrast = (text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    const below = document
      .elementsFromPoint((left + right) / 2, (top + bottom) / 2)
      .find((element) => element.matches("rect, polygon, circle"));
    const [ink, ground] = [text, below].map((element) => (element ? light(getComputedStyle(element).fill) : null));
    return ground ? Math.max(ink, ground) / Math.min(ink, ground) : wanted;
  };
  return [...document.querySelectorAll("text")]
    .map((text) => [contrast(text), text.textContent])
    .filter(([found]) => found < wanted);
})
"""


def main():
    parser = argparse.ArgumentParser(description="Look at figures.")
    parser.add_argument("folder", type=Path, help="what the examples `scripts` and `pictures` wrote")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="write pictures into it")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="PROGRAM")
    asked = parser.parse_args()
    check = Checks()
    with browser(asked.chromium) as debugger:
        opened = urllib.request.Request(f"{debugger}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(opened) as answer:
            page = Page(json.load(answer)["webSocketDebuggerUrl"], "")
        for path in sorted([*asked.folder.glob("*.html"), *asked.folder.glob("*.svg")]):
            for theme, width in [(theme, width) for theme in THEMES for width in WIDTHS]:
                page.appear(width, theme)
                page.events.clear()
                page.url = path.resolve().as_uri()
                page.call("Page.navigate", url=page.url)
                page.wait("document.readyState === 'complete'")
                page.run(f"({PAINT})({json.dumps(GROUNDS[theme])})")
                look(check, page, path, f"{path.name} on a {theme} ground, {width} wide", width)
                if asked.screenshots:
                    photograph(page, asked.screenshots / f"{path.stem}.{path.suffix[1:]}.{theme}.{width}.png")
    check.finish()


def look(check, page, path, name, width):
    fetched = [event["request"]["url"] for event in page.heard("Network.requestWillBeSent")]
    check(f"{name} fetches nothing", all(url == page.url or url.startswith("data:") for url in fetched), fetched)
    if path.suffix == ".html":
        faint = page.run(f"{FAINT_TEXTS}({LOWEST_CONTRAST})")
        check(f"{name} has letters that stand out", not faint, faint)
        check(f"{name} scrolls in its frame alone", page.run("document.documentElement.scrollWidth") <= width)
    else:
        outside = page.run(OUTSIDE) if "layers" not in path.stem else []
        check(f"{name} has its letters in their boxes", not outside, outside)
        for what, script in [("cut off", CUT), ("on each other", ON_EACH_OTHER), ("faint", FAINT_LETTERS)]:
            found = page.run(f"{script}({LOWEST_CONTRAST})" if script is FAINT_LETTERS else script)
            check(f"{name} has no letters that are {what}", not found, found)
    if path.stem not in RIGHT_TO_LEFT + LEFT_TO_RIGHT:
        return
    boxes = [box for box in page.run(BOXES) if not box["word"].startswith(("+", "-")) and box["word"] != "0"]
    lines = [pair for pair in zip(boxes, boxes[1:]) if abs(pair[0]["top"] - pair[1]["top"]) < 5]
    # The digits of a number run to the right everywhere.
    lines = [pair for pair in lines if not (pair[0]["word"].isdigit() and pair[1]["word"].isdigit())]
    check(f"{name} has several words in a line", len(lines) > 3, boxes)
    # An SVG has its words as they are seen.
    to_the_left = path.stem in RIGHT_TO_LEFT and path.suffix == ".html"
    wrong = [
        (first["word"], second["word"])
        for first, second in lines
        if (first["left"] < second["right"] if to_the_left else second["left"] < first["right"])
    ]
    check(f"{name} has its words in order, apart from each other", not wrong, wrong)
    check(f"{name} has each word in one box", all(box["parts"] == 1 for box in boxes), boxes)
    if width == max(WIDTHS):
        check(f"{name} stays on the page", all(0 <= box["left"] and box["right"] <= width for box in boxes), boxes)
    if path.stem in RIGHT_TO_LEFT:
        first = max(boxes, key=lambda box: (-box["top"], box["right"]))
        farthest = max(box["right"] for box in boxes)
        begins = first["word"].strip("\u200f") == "<s>" and first["right"] > farthest - 5
        check(f"{name} begins at the right", begins, boxes)
    if path.suffix == ".html" and width == max(WIDTHS):
        legend = page.run(LEGEND)
        check(f"{name} has a scale that runs to the right", len(legend) == 7 and legend == sorted(legend), legend)


def photograph(page, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    size = page.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    picture = page.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    path.write_bytes(base64.b64decode(picture["data"]))


if __name__ == "__main__":
    main()
