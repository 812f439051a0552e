"""The template: a workspace that is compiled once and copied for every kernel."""

import hashlib
import json
import shutil
from pathlib import Path

from lab import console, jupyter, rust, workspace
from lab.lock import held
from lab.place import KERNEL_SOURCES, LAB, PASSENGERS, PYTHON, ROOT, TEMPLATE, TEMPLATE_LOCK
from lab.swap import swap

STAMP = "template.json"


def key() -> str:
    """What a kernel's compiled code depends on, in one word."""
    digest = hashlib.sha256(rust.version().encode())
    settings = [ROOT / "lab" / name for name in ("kernel.py", "workspace.py", "rust.py")]
    manifests = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", KERNEL_SOURCES / "Cargo.lock"]
    for path in [*settings, *manifests, *_sources()]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def fresh() -> bool:
    """Whether a kernel started from the template would compile nothing of candle-explain."""
    stamp = _stamp(TEMPLATE)
    # Cargo goes by times, so a file that was only touched makes it compile again.
    return stamp.get("key") == key() and _newest() <= stamp["newest"]


def warm() -> None:
    if fresh():
        return
    stamp = {"key": key(), "newest": _newest(), "rustc": rust.version()}
    known = _stamp(TEMPLATE).get("rustc") == rust.version()
    new = LAB / "template.new"
    # One that an interrupted run has left is as good as any: cargo goes on in it where it was.
    if not new.is_dir():
        beginning = LAB / "template.beginning"
        shutil.rmtree(beginning, ignore_errors=True)
        beginning.mkdir(parents=True)
        if known:
            workspace.copy(TEMPLATE, beginning)
        beginning.rename(new)
    workspace.lay_out(new)
    console.run(
        "Compiling candle-explain for notebooks"
        + ("" if known else ", with everything below it (about 4 minutes on 2 cores)"),
        [PYTHON, "-m", "lab.warm", new],
        env=jupyter.environment(),
        hint="If candle-explain itself does not compile, `cargo build` says why.",
    )
    (new / STAMP).write_text(json.dumps(stamp))
    with held(TEMPLATE_LOCK):
        swap(new, TEMPLATE)


def _sources() -> list[Path]:
    """The files that candle-explain is compiled from; it takes some of `data/` into itself."""
    found = [path for folder in ("src", "data") for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in found if path.is_file() and path != PASSENGERS)


def _newest() -> int:
    return max((path.stat().st_mtime_ns for path in _sources()), default=0)


def _stamp(folder: Path) -> dict:
    path = folder / STAMP
    return json.loads(path.read_text()) if path.is_file() else {}
