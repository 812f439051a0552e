"""JupyterLab and what runs notebooks, in a virtual environment of the project's own."""

import importlib.util
import os
import shutil
import sys

from lab import console
from lab.place import JUPYTER_DATA, PYTHON, ROOT, VENV
from lab.problem import Problem

REQUIREMENTS = ROOT / "lab" / "requirements.txt"


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
    console.run(
        "Installing JupyterLab into it",
        [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", REQUIREMENTS],
        hint="It needs the network (or a package index that pip is told of) once; run this again when there is one.",
    )
    stamp.write_text(wanted)


def environment() -> dict[str, str]:
    """What a program of that environment sees: our kernels before the user's own."""
    path = [str(JUPYTER_DATA)] + [p for p in [os.environ.get("JUPYTER_PATH")] if p]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(path)}
