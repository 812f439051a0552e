"""The main job: the walkthrough notebooks, executed, with their results in `.lab/results/`."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

from lab import console, jupyter, template
from lab.place import NOTEBOOKS, PASSENGERS, PYTHON, RESULTS, ROOT, shown
from lab.problem import Problem



def found_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.ipynb") if not path.name.startswith("."))


def run_all(again: bool) -> None:
    """Execute the walkthroughs that have changed since their results were made, or all of them."""
    for path in found_in(NOTEBOOKS):
        fingerprint = RESULTS / f"{path.stem}.fingerprint"
        now = fingerprint_of(path)
        if not again and fingerprint.is_file() and fingerprint.read_text() == now:
            console.say(f"{shown(path)}: nothing has changed since its last run")
            continue
        fingerprint.unlink(missing_ok=True)
        execute(path, "--to", str(RESULTS))
        fingerprint.write_text(now)
    console.say(f"The results, as web pages and as executed notebooks, are in {shown(RESULTS)}:")
    for page in sorted(RESULTS.glob("*.html")):
        console.say(f"  {shown(page)}")


def execute(path: Path, *options: str) -> None:
    """Run a notebook in a kernel, in a process of the environment that has Jupyter."""
    console.say(f"Running {shown(path)}")
    start = time.monotonic()
    command = [PYTHON, "-m", "lab.execute", *options, path.resolve()]
    if subprocess.run(command, cwd=ROOT, env=jupyter.environment()).returncode:
        raise Problem(f"{shown(path)} failed: see above.")
    console.say(f"  done in {time.monotonic() - start:.1f} s")


def export(paths: list[Path], folder: Path | None) -> None:
    """Make web pages of notebooks as they are saved."""
    console.say("The pages:")
    to = ["--to", folder.resolve()] if folder else []
    command = [PYTHON, "-m", "lab.export", *to, *(path.resolve() for path in paths)]
    if subprocess.run(command, cwd=ROOT, env=jupyter.environment()).returncode:
        raise Problem("The export failed: see above.")


def fingerprint_of(path: Path) -> str:
    """A notebook's cells, without their outputs, and all else that its outputs depend on."""
    cells = [
        [cell["cell_type"], cell["source"], cell["metadata"]] for cell in json.loads(path.read_text())["cells"]
    ]
    parts = [cells, template.key(), data()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def data() -> list:
    """Which data the notebooks will find: it may come or go between two runs."""
    named = os.environ.get("CANDLE_EXPLAIN_DATA", "")
    candidates = [PASSENGERS, ROOT.parent / "shared" / "data" / PASSENGERS.name]
    if named:
        folder = Path(named).expanduser()
        candidates += sorted(folder.iterdir()) if folder.is_dir() else [folder]
    seen = []
    for file in candidates:
        state = file.stat() if file.is_file() else None
        seen.append([str(file), state and state.st_size, state and state.st_mtime_ns])
    return [named, seen]
