"""Drives the server's page in a headless Chromium: what a visitor sees, reaches and could break.

    pip install websocket-client
    python server/tests/clients/page.py http://127.0.0.1:8080/ [--screenshots FOLDER] [--chromium PROGRAM]

The server has to offer the model `titanic`, and may offer others. One line a check; exits 1 if one fails.
"""

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import websocket

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]
THEMES = ["light", "dark"]
WIDTHS = [320, 768, 1280]
LOWEST_CONTRAST = 4.5
KEY_CODES = {"Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}

SETTLED = "document.getElementById('reasons').ariaBusy === 'false'"
PREDICTION = "document.getElementById('prediction').textContent"
ALERT = "document.getElementById('alert').textContent"

# Sets a control, found by its name or id, as a visitor would.
FILL = """
(name, value) => {
  const control = [...document.querySelectorAll("input, select, textarea")]
    .filter((control) => control.name === name || control.id === name)
    .find((control) => control.type !== "radio" || control.value === value);
  if (control.type === "radio") return control.click();
  control.value = value;
  for (const event of ["input", "change"]) control.dispatchEvent(new Event(event, { bubbles: true }));
}
"""

# Remembers the control that has the focus, and whether it shows.
FOCUS_IS_SEEN = """
(() => {
  const control = document.activeElement;
  window.reached.add(control);
  const outlined = (element) => element && getComputedStyle(element).outlineStyle === "solid";
  return control === document.body || outlined(control) || outlined(control.closest("label"));
})()
"""

# Controls that Tab does not get to. Of a radio group and of a toolbar, one is enough.
UNREACHED = """
(() => {
  const group = (control) => control.type === "radio" ? control.name : control.closest("[role=toolbar]") ?? control;
  const reached = new Set([...window.reached].map(group));
  return [...document.querySelectorAll("a[href], button, [role=button], input, select, textarea, summary")]
    .filter((control) => control.checkVisibility() && !reached.has(group(control)))
    .map((control) => control.outerHTML);
})()
"""

# Texts with their contrast to what is painted below them, where that is lower than wanted.
FAINT_TEXTS = """
((wanted) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (canvas.fillStyle of colours) canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
  };
  const layers = (element) =>
    element ? [...layers(element.parentElement), getComputedStyle(element).backgroundColor] : ["white"];
  const contrast = (element) => {
    const [ground, ink] = [layers(element), [...layers(element), getComputedStyle(element).color]].map(painted);
    return Math.max(ground, ink) / Math.min(ground, ink);
  };
  const speaks = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*:not(script, .unseen, option)")]
    .filter((element) => (speaks(element) || element.matches("input, select, textarea")) && element.checkVisibility())
    .map((element) => [contrast(element), element.outerHTML])
    .filter(([found]) => found < wanted);
})
"""

# The words, special tokens left out, by where they stand.
WORDS_FROM_THE_LEFT = """
[...document.querySelectorAll("#words [role=button]:not(.special)")]
  .map((word) => [word.getBoundingClientRect().left, word.textContent])
  .sort(([one], [other]) => one - other)
  .map(([, word]) => word)
"""

# Whether anything on the page is animated.
MOVES = """
[...document.querySelectorAll("*")]
  .flatMap((element) => [getComputedStyle(element), getComputedStyle(element, "::before")])
  .some((style) => style.animationName !== "none" || style.transitionDuration !== "0s")
"""

# The first answer that is asked for from now on comes late, and cannot be aborted.
FIRST_ANSWER_LATE = """
(() => {
  const fetched = window.fetch;
  window.signals = [];
  window.fetch = async (path, { signal, ...request }) => {
    const late = window.signals.push(signal) === 1;
    const response = await fetched(path, request);
    if (late) await new Promise((done) => setTimeout(done, 800));
    if (late) window.lateCame = true;
    return response;
  };
})()
"""


# From now on the server seems to want a key.
KEY_WANTED = """
(() => {
  const fetched = window.fetch;
  const refusal = JSON.stringify({ code: 400, type: "InvalidKeyException", message: "no key" });
  window.fetch = async (path, request) =>
    request.headers.Authorization === "Bearer sesame" ? fetched(path, request) : new Response(refusal, { status: 400 });
})()
"""


class Page:
    """A tab of the browser, spoken to by the DevTools protocol."""

    def __init__(self, debugger: str, url: str):
        self.url = url
        self.events: list[dict] = []
        self.calls = 0
        self.socket = websocket.create_connection(debugger, suppress_origin=True, timeout=30)
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"]:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.calls:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def run(self, expression: str):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 20):
        end = time.monotonic() + seconds
        while not (found := self.run(expression)):
            assert time.monotonic() < end, f"not true within {seconds} s: {expression}"
            time.sleep(0.02)
        return found

    def heard(self, event: str) -> list[dict]:
        self.run("null")
        return [message["params"] for message in self.events if message["method"] == event]

    def load(self):
        self.call("Page.navigate", url=self.url)
        self.wait(f"document.readyState === 'complete' && {SETTLED}")

    def fill(self, name: str, value: str | float):
        self.run(f"({FILL})({json.dumps(name)}, {json.dumps(str(value))})")
        self.wait(SETTLED)

    def open(self, model: dict):
        self.load()
        index = self.run(f"[...model.options].findIndex(({{ text }}) => text === {json.dumps(model['name'])})")
        self.fill("model", index)

    def press(self, key: str):
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEY_CODES[key])

    def appear(self, width: int, theme: str = "light", height: int = 900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def texts(self, selector: str) -> list[str]:
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((element) => element.textContent)")


def loads_without_an_error_in_the_console(page: Page, models: list[dict]):
    page.events.clear()
    page.load()
    complaints = [
        *page.heard("Runtime.exceptionThrown"),
        *(said for said in page.heard("Runtime.consoleAPICalled") if said["type"] in ("error", "assert")),
        *(said for said in page.heard("Log.entryAdded") if said["entry"]["level"] == "error"),
    ]
    assert not complaints, complaints
    assert page.run(PREDICTION) and not page.run(ALERT)


def an_edit_changes_the_prediction(page: Page, models: list[dict]):
    page.open(models[0])
    for name, value in [("sex", "male"), ("pclass", "1"), ("age", 4)]:
        before = page.run(PREDICTION)
        page.fill(name, value)
        assert page.run(PREDICTION) != before, f"{before}, whatever the {name}"
    assert page.run("document.querySelector('[type=range]').value") == "4"


def a_reset_brings_the_typical_values_back(page: Page, models: list[dict]):
    page.open(models[0])
    typical = page.run(PREDICTION)
    page.fill("sex", "male")
    assert page.run(PREDICTION) != typical
    page.run("document.querySelector('[type=reset]').click()")
    page.wait(f"{SETTLED} && {PREDICTION} === {json.dumps(typical)}")


def reasons_are_a_table_in_either_order(page: Page, models: list[dict]):
    page.open(models[0])

    def sizes() -> list[float]:
        return [abs(float(text.replace("−", "-"))) for text in page.texts("#attributions .value")]

    assert len(sizes()) > 1 and sizes() == sorted(sizes(), reverse=True), sizes()
    page.run("document.getElementById('sorted').click()")
    assert sizes() != sorted(sizes(), reverse=True), sizes()
    shares = [float(text.rstrip("%")) for text in page.texts("#probabilities .value")]
    assert abs(sum(shares) - 100) < 0.2, shares


def the_target_and_the_method_are_obeyed(page: Page, models: list[dict]):
    for model in models:
        page.open(model)
        for method in page.texts("#method option"):
            page.fill("method", method)
            assert not page.run(ALERT), (model["name"], method, page.run(ALERT))
    page.open(models[0])
    for label in page.texts("#target option")[1:]:
        page.fill("target", label)
        assert page.texts("#above") == [f"above 0: for {label}"]


def a_value_out_of_range_is_warned_of(page: Page, models: list[dict]):
    page.open(models[0])
    assert page.texts("#warnings li") == []
    page.fill("fare", 600)
    assert any("fare" in warning for warning in page.texts("#warnings li"))


def an_error_is_shown_as_it_reads(page: Page, models: list[dict]):
    page.open(models[0])
    before = page.run(PREDICTION)
    page.run("method.add(new Option('<b>Guess</b>'))")
    page.fill("method", "<b>Guess</b>")
    request = urllib.request.Request(
        f"{page.url}explanations/titanic",
        json.dumps({"instances": [models[0]["typical"]], "parameters": {"method": "<b>Guess</b>"}}).encode(),
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    try:
        urllib.request.urlopen(request)
        raise AssertionError("the server knows the method <b>Guess</b>")
    except urllib.error.HTTPError as refusal:
        message = json.load(refusal)["message"]
    assert page.run(ALERT) == message, (page.run(ALERT), message)
    assert page.run("document.getElementById('alert').childElementCount") == 0
    assert page.run(PREDICTION) == before and page.run("stale.checkVisibility()")
    page.fill("method", page.texts("#method option")[0])
    assert page.run(ALERT) == "" and not page.run("stale.checkVisibility()")


def a_missing_number_and_a_missing_server_are_told(page: Page, models: list[dict]):
    page.open(models[0])
    page.fill("age", "")
    assert "age" in page.run(ALERT) and page.run("document.querySelector('[name=age]').ariaInvalid") == "true"
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.emulateNetworkConditions", offline=True, **offline)
    page.fill("age", 20)
    assert "server" in page.run(ALERT), page.run(ALERT)
    page.call("Network.emulateNetworkConditions", offline=False, **offline)
    page.fill("age", 21)
    assert page.run(ALERT) == ""


def a_key_is_asked_for_where_one_is_needed(page: Page, models: list[dict]):
    page.open(models[0])
    assert not page.run("door.checkVisibility()")
    page.run(KEY_WANTED)
    page.fill("sex", "male")
    assert page.run(ALERT) == "no key" and page.run("door.checkVisibility()")
    page.run("key.value = 'sesame'; door.requestSubmit()")
    page.wait(f"{SETTLED} && !door.checkVisibility()")
    assert page.run(ALERT) == "" and "Bearer sesame" in page.texts("#curl")[0]


def a_late_answer_is_not_shown(page: Page, models: list[dict]):
    page.open(models[0])
    page.fill("sex", "male")
    right = page.run(PREDICTION)
    page.fill("sex", "female")
    page.run(FIRST_ANSWER_LATE)
    page.run(f"({FILL})('pclass', '1')")
    page.wait("signals.length === 1")
    page.run(f"({FILL})('pclass', {json.dumps(models[0]['typical']['pclass'])})")
    page.run(f"({FILL})('sex', 'male')")
    page.wait(f"{SETTLED} && {PREDICTION} === {json.dumps(right)}")
    assert page.run("signals[0].aborted && !window.lateCame")
    page.wait("window.lateCame")
    time.sleep(0.2)
    assert page.run(PREDICTION) == right


def the_request_can_be_repeated_with_curl(page: Page, models: list[dict]):
    for model in models:
        page.open(model)
        if model["kind"] == "text":
            page.fill("text", 'It\'s "good"\nand $HOME is `fine`')
        answer = subprocess.run(["sh", "-c", f"{page.texts('#curl')[0]} -s"], capture_output=True, check=True)
        row = json.loads(answer.stdout)["rows"][0]
        assert page.run(PREDICTION).startswith(row.get("label", "")), row


def every_control_has_a_name_and_is_reached_by_tab(page: Page, models: list[dict]):
    for model in models:
        page.open(model)
        page.run("document.querySelector('details').open = true")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        focusable = [
            node
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] != "RootWebArea"
            and any(one["name"] == "focusable" and one["value"]["value"] for one in node.get("properties", []))
        ]
        nameless = [node for node in focusable if not node.get("name", {}).get("value", "").strip()]
        assert len(focusable) > 5 and not nameless, nameless
        page.run("window.reached = new Set()")
        for _ in range(2 * len(focusable) + 5):
            page.press("Tab")
            assert page.run(FOCUS_IS_SEEN), f"no focus to be seen: {page.run('document.activeElement.outerHTML')}"
        assert page.run(UNREACHED) == []


def words_are_walked_with_arrows_and_never_html(page: Page, models: list[dict]):
    for model in models:
        if model["kind"] == "text":
            page.open(model)
            page.fill("text", "good <img src=x> &amp; bad")
            assert page.run("document.querySelectorAll('img').length") == 0
            words = page.texts("#words [role=button]")
            assert len(words) > 2 and len(words) == len(page.texts("#attributions tbody tr")), words
            titles = page.run("[...document.querySelectorAll('#words [role=button]')].map(({ title }) => title)")
            page.run("document.querySelector('#words [role=button]').focus()")
            page.press("ArrowRight")
            assert page.texts("#reading") == [f"{words[1]} {titles[1]}"], (page.texts("#reading"), words)


def words_stand_in_the_order_of_their_scripts(page: Page, models: list[dict]):
    orders = [
        ("كتاب جميل نعم شكرا tốt שלום עולם", ["עולם", "שלום", "tốt", "شكرا", "نعم", "جميل", "كتاب"]),
        ("tốt כן לא hay", ["tốt", "לא", "כן", "hay"]),
        ("שלום 3,5 tốt", ["tốt", "3", ",", "5", "שלום"]),
    ]
    model = next((model for model in models if model["name"] == "sentiment-vi"), None)
    if model:
        page.open(model)
        for text, expected in orders:
            page.fill("text", text)
            words = page.run(WORDS_FROM_THE_LEFT)
            assert words == expected, (words, expected)
            page.run("document.querySelector('#words [role=button]').focus()")
            page.press("ArrowLeft" if words[-1] == text.split()[0] else "ArrowRight")
            second = page.texts("#words [role=button]")[1]
            assert page.texts("#reading")[0].startswith(f"{second} "), page.texts("#reading")


def nothing_overflows(page: Page, models: list[dict]):
    for width in WIDTHS:
        for model in models:
            page.appear(width)
            page.open(model)
            page.fill(model["record"][0]["name"], "9" * 60)
            page.run("document.querySelector('details').open = true")
            wide = page.run("[document.documentElement.scrollWidth, innerWidth]")
            assert wide[0] <= wide[1] == width, f"{model['name']}: {wide}"


def texts_stand_out_in_both_themes(page: Page, models: list[dict]):
    for theme in THEMES:
        for model in models:
            page.appear(1280, theme)
            page.open(model)
            if model["name"] == "titanic":
                page.fill("fare", 600)
                page.fill("age", "")
            page.run("document.querySelector('details').open = true")
            faint = page.run(f"{FAINT_TEXTS}({LOWEST_CONTRAST})")
            assert faint == [], f"{theme}: {faint}"


def motion_stops_where_it_is_not_wanted(page: Page, models: list[dict]):
    for wish, expected in [("no-preference", True), ("reduce", False)]:
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": wish}])
        page.open(models[0])
        assert page.run(MOVES) == expected, wish


def what_changes_is_announced(page: Page, models: list[dict]):
    page.open(models[0])
    roles = page.run("[prediction.ariaLive, prediction.ariaAtomic, document.getElementById('alert').role, copied.role]")
    assert roles == ["polite", "true", "alert", "status"], roles


def no_request_leaves_the_origin(page: Page, models: list[dict]):
    page.events.clear()
    for model in models:
        page.open(model)
    asked = [sent["request"]["url"] for sent in page.heard("Network.requestWillBeSent")]
    strangers = [url for url in asked if not url.startswith((page.url, "data:"))]
    assert asked and not strangers, strangers


CHECKS = [
    loads_without_an_error_in_the_console,
    an_edit_changes_the_prediction,
    a_reset_brings_the_typical_values_back,
    reasons_are_a_table_in_either_order,
    the_target_and_the_method_are_obeyed,
    a_value_out_of_range_is_warned_of,
    an_error_is_shown_as_it_reads,
    a_missing_number_and_a_missing_server_are_told,
    a_key_is_asked_for_where_one_is_needed,
    a_late_answer_is_not_shown,
    the_request_can_be_repeated_with_curl,
    every_control_has_a_name_and_is_reached_by_tab,
    words_are_walked_with_arrows_and_never_html,
    words_stand_in_the_order_of_their_scripts,
    nothing_overflows,
    texts_stand_out_in_both_themes,
    motion_stops_where_it_is_not_wanted,
    what_changes_is_announced,
    no_request_leaves_the_origin,
]


def photograph(page: Page, models: list[dict], folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for theme in THEMES:
            for model in models:
                page.appear(width, theme)
                page.open(model)
                time.sleep(0.3)
                height = page.run("document.documentElement.scrollHeight")
                page.appear(width, theme, height)
                shot = page.call("Page.captureScreenshot", format="png")
                (folder / f"{model['name']}-{width}-{theme}.png").write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(program: str):
    """A browser with a profile of its own; gives the address of its debugger."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = Path(profile) / "DevToolsActivePort"
            end = time.monotonic() + 60
            while not (port.exists() and port.read_text()):
                assert time.monotonic() < end and process.poll() is None, f"{program} does not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        finally:
            process.terminate()
            process.wait(20)


def offered(url: str) -> list[dict]:
    """The server's models, titanic first, each with its typical record."""
    with urllib.request.urlopen(f"{url}api/models") as answer:
        models = json.load(answer)["models"]
    for model in models:
        model["typical"] = {field["name"]: field["typical"] for field in model["record"]}
    models.sort(key=lambda model: model["name"] != "titanic")
    assert models and models[0]["name"] == "titanic", "the server has no model titanic"
    return models


def main() -> int:
    parser = argparse.ArgumentParser(description="Drive the server's page in a headless Chromium.")
    parser.add_argument("url", help="where the page is, as http://127.0.0.1:8080/")
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="write pictures of the page into it")
    parser.add_argument("--chromium", default="/usr/bin/chromium", metavar="PROGRAM")
    asked = parser.parse_args()
    url = f"{asked.url.rstrip('/')}/"
    models = offered(url)
    failures = 0
    with browser(asked.chromium) as debugger:
        opened = urllib.request.Request(f"{debugger}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(opened) as answer:
            page = Page(json.load(answer)["webSocketDebuggerUrl"], url)
        for check in CHECKS:
            page.appear(1280)
            try:
                check(page, models)
                verdict, reason = "ok    ", ""
            except Exception as failure:
                verdict, reason = "FAILED", f": {failure!r}"
                failures += 1
            print(f"{verdict} {check.__name__.replace('_', ' ')}{reason}", flush=True)
        if asked.screenshots:
            photograph(page, models, asked.screenshots)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
