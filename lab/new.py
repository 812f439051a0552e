"""A folder of one's own to explain models in: a notebook to begin with, and a table for it."""

import shutil
from pathlib import Path

from lab import console
from lab.place import ROOT
from lab.problem import Problem

NOTEBOOK = ROOT / "lab" / "beginning" / "explain.ipynb"
# Each file of the folder, and what it is copied from.
FILES = {"explain.ipynb": NOTEBOOK, "table.csv": ROOT / "data" / "synthetic_passengers.csv"}


def make(folder: Path) -> None:
    """Make the folder, whole or not at all; nothing that is there is written over."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Problem(f"{folder} is there and not an empty folder: name one that is not there yet")
    if folder.resolve().is_relative_to(ROOT):
        raise Problem(f"{folder} is within candle-explain itself: name a folder outside of {ROOT}")
    folder = folder.resolve()
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        for name, source in FILES.items():
            shutil.copyfile(source, new / name)
        if folder.exists():
            folder.rmdir()
        new.rename(folder)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise Problem(f"cannot make {folder}: {error}") from None
    console.say(f"{folder} has a notebook to begin with. `python3 -m lab open {folder}` opens it in JupyterLab.")
