"""JupyterLab and what runs notebooks, in a virtual environment of the project's own."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from lab import console
from lab.place import JUPYTER_DATA, PYTHON, ROOT, VENV
from lab.problem import Problem

REQUIREMENTS = ROOT / "lab" / "requirements.txt"
TEST_REQUIREMENTS = ROOT / "lab" / "requirements-test.txt"


def install() -> None:
    wanted = sys.version + REQUIREMENTS.read_text()
    stamp = VENV / "installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        raise Problem(
            "this Python cannot make virtual environments. On Debian and Ubuntu: `apt install python3-venv`; "
            "then run this again."
        )
    # Its scripts hold its path, so it is made in place; the stamp, written last, says that it is whole.
    shutil.rmtree(VENV, ignore_errors=True)
    console.run("Making a Python environment in .lab/python", [sys.executable, "-m", "venv", str(VENV)])
    _fetch("Installing JupyterLab into it", REQUIREMENTS)
    stamp.write_text(wanted)


def install_for_tests() -> None:
    """Add to the environment what only the checks need."""
    wanted = TEST_REQUIREMENTS.read_text()
    stamp = VENV / "installed-for-tests"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _fetch("Installing what the checks drive the kernel with", TEST_REQUIREMENTS)
    stamp.write_text(wanted)


def environment() -> dict[str, str]:
    """What a program of that environment sees: our kernels before the user's own."""
    path = [str(JUPYTER_DATA)] + [p for p in [os.environ.get("JUPYTER_PATH")] if p]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(path)}


def _fetch(caption: str, requirements: Path) -> None:
    console.run(
        caption,
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", requirements],
        hint="It needs the network (or a package index that pip is told of) once; run this again when there is one.",
    )
