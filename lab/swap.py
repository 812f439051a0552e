"""Putting a finished folder in the place of an older one."""

import shutil
from pathlib import Path


def swap(new: Path, place: Path) -> None:
    """Nobody finds half a folder at `place`, whenever this is interrupted."""
    old = place.with_name(f"{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    shutil.rmtree(old, ignore_errors=True)
