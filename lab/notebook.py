"""Notebooks as files, written so that the next run's difference is small and nothing of this machine is in it."""

import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode, ValidationError
from nbformat.reader import NotJSONError

from lab import scan
from lab.place import ROOT
from lab.problem import Problem

METADATA = {
    "kernelspec": {"display_name": "Rust", "language": "rust", "name": "rust"},
    "language_info": {
        "codemirror_mode": "rust",
        "file_extension": ".rs",
        "mimetype": "text/rust",
        "name": "rust",
        "pygments_lexer": "rust",
    },
}


# `thread '<unnamed>' (4711) panicked at ...`
THREAD = re.compile(r"(thread '[^']*') \(\d+\) (panicked)")


def read(path: Path) -> NotebookNode:
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (NotJSONError, ValidationError) as error:
        raise Problem(f"not a valid notebook: {error}") from None
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tidy(notebook: NotebookNode) -> None:
    """Leave only what another run of the same code on another machine would leave."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.metadata.pop("trusted", None)
    for number, cell in enumerate(code_cells(notebook), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
        cell.outputs = _without_this_machine(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "error":
                output.traceback = [scan.ANSI.sub("", line) for line in output.traceback]


def write(notebook: NotebookNode, path: Path) -> None:
    """In one step: whoever reads the file meanwhile finds the old one or the new one, whole."""
    nbformat.validate(notebook)
    new = path.with_name(f".{path.name}.new")
    nbformat.write(notebook, new)
    new.replace(path)


def _without_this_machine(value: object) -> object:
    """The same outputs: paths as seen from the project, the home folder as `~`, no thread's number."""
    if isinstance(value, str):
        value = value.replace(f"{ROOT}{os.sep}", "").replace(str(ROOT), ".")
        return THREAD.sub(r"\1 \2", value.replace(str(Path.home()), "~"))
    if isinstance(value, dict):
        return type(value)({name: _without_this_machine(part) for name, part in value.items()})
    if isinstance(value, list):
        return [_without_this_machine(part) for part in value]
    return value
