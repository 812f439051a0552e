"""Fills a kernel's folder, while the kernel already answers Jupyter.

Printed is, as a JSON list, what the kernel may let rust-analyzer read before anybody runs a cell. Read only: it
leaves neither a dependency nor a library behind, so a notebook that asks for other features loses nothing.
"""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":  # run by path, from a notebook's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lab import template, workspace  # noqa: E402
from lab.lock import held  # noqa: E402
from lab.place import TEMPLATE, TEMPLATE_LOCK  # noqa: E402

# Jupyter's server names the notebook that a kernel is started for. Programs that do not say so run its first cell at once.
NOTEBOOK = "JPY_SESSION_NAME"


def main(home: Path) -> None:
    with held(TEMPLATE_LOCK, shared=True):
        if TEMPLATE.is_dir():
            workspace.copy(TEMPLATE, home)
    if template.fresh():
        print(json.dumps(read_in_advance(Path(os.environ.get(NOTEBOOK, "")))))
        return
    workspace.lay_out(home)
    news = "candle-explain has changed: the first cell compiles it (`python3 -m lab` does so for all)"
    print(news, file=sys.stderr)
    print("[]")


def read_in_advance(notebook: Path) -> list[str]:
    """What the notebook's first cells need, in steps: a cell that comes meanwhile waits for one of them.

    Nothing where they need something else: a cell would wait for work that is not its own.
    """
    if not asks_for_the_crate(notebook):
        return []
    return [f"{workspace.dependency()}\n0", f"{workspace.dependency()}\n{workspace.FIRST_LINES}warm"]


def asks_for_the_crate(notebook: Path) -> bool:
    """Whether it uses candle-explain as the project that it is, without features."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    lines = [line for cell in code for line in cell.splitlines()]
    dependencies = [line for line in lines if line.startswith((":dep candle-explain", ":dep candle_explain"))]
    usual = workspace.spellings()
    return bool(dependencies) and all(
        line.rstrip() in usual or ("path" in line and "features" not in line) for line in dependencies
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
