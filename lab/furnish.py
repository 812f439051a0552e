"""Fills a kernel's folder, while the kernel already answers Jupyter.

Printed is, as a JSON list, what the kernel may let rust-analyzer read before anybody runs a cell. Read only: it
leaves neither a dependency nor a library behind, so a notebook that asks for other features loses nothing.
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":  # run by path, from a notebook's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lab import template, workspace  # noqa: E402
from lab.lock import held  # noqa: E402
from lab.place import TEMPLATE, TEMPLATE_LOCK  # noqa: E402


def main(home: Path) -> None:
    with held(TEMPLATE_LOCK, shared=True):
        if TEMPLATE.is_dir():
            workspace.copy(TEMPLATE, home)
    if template.fresh():
        print(json.dumps(read_in_advance()))
        return
    workspace.lay_out(home)
    news = "candle-explain has changed: the first cell compiles it (`python3 -m lab` does so for all)"
    print(news, file=sys.stderr)
    print("[]")


def read_in_advance() -> list[str]:
    """What is common to all notebooks first, in steps: a cell that comes meanwhile waits for one of them."""
    return [f"{workspace.dependency()}\n", f"{workspace.dependency()}\n{workspace.FIRST_CELL}"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
