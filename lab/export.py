"""Notebooks as web pages of one file each, which open without a kernel and without a network."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from nbformat import NotebookNode

from lab import links
from lab import notebook as notebooks
from lab.page import Page
from lab.place import shown
from lab.problem import Problem


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.export")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    try:
        for path in asked.paths:
            print(f"  {shown(as_it_is(path, asked.to or path.parent))}")
    except Problem as problem:
        print(f"  {problem}")
        return 1
    return 0


def as_it_is(path: Path, folder: Path) -> Path:
    """Write a page of a notebook with the outputs that are saved in it; where the page is."""
    notebook = notebooks.read(path)
    if not any(cell.outputs for cell in notebooks.code_cells(notebook)):
        raise Problem(f"{path} has no outputs: save them with `python3 -m lab run --save {path}`, or in JupyterLab")
    notebooks.tidy(notebook)
    return write_page(notebook, path, folder)


def with_files(notebook: NotebookNode, path: Path, folder: Path) -> None:
    """Write a page of a notebook, and a copy of it with the files that it names."""
    write_page(notebook, path, folder)
    for name in map(Path, links.relative(notebook)):
        if links.stays_below(name) and (path.parent / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / name, folder / name)
    notebooks.write(notebook, folder / path.name)


def write_page(notebook: NotebookNode, path: Path, folder: Path) -> Path:
    """Write the page in one step: whoever reads the file meanwhile finds the old one or the new one, whole."""
    resources = {"metadata": {"name": path.stem, "path": str(path.resolve().parent)}}
    content, _ = Page().from_notebook_node(notebook, resources)
    folder.mkdir(parents=True, exist_ok=True)
    page = (folder / path.name).with_suffix(".html")
    new = page.with_name(f".{page.name}.new")
    new.write_text(content)
    os.replace(new, page)
    return page


if __name__ == "__main__":
    sys.exit(main())
