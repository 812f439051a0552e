"""Runs one notebook in a real kernel and says how each cell fared. Its exit code is the verdict."""

import argparse
import os
import sys
import time
from pathlib import Path

from nbformat import NotebookNode

from lab import notebook as notebooks
from lab import scan
from lab.place import LOGS, shown
from lab.problem import Problem
from lab.session import Session



def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.execute")
    parser.add_argument("path", type=Path)
    parser.add_argument("--save", action="store_true", help="write the outputs into the notebook")
    parser.add_argument("--to", type=Path, help="write an executed copy, and a web page of it, into this folder")
    asked = parser.parse_args()
    try:
        notebook = notebooks.read(asked.path)
        passed = execute(notebook, asked.path)
        notebooks.tidy(notebook)
        if asked.to:
            # nbconvert takes half a second that a mere test need not spend.
            from lab import export

            export.with_files(notebook, asked.path, asked.to)
        if asked.save and passed:
            notebooks.write(notebook, asked.path)
            print(f"  outputs saved in {shown(asked.path)}")
    except Problem as problem:
        print(f"  {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if passed else 1


def execute(notebook: NotebookNode, path: Path) -> bool:
    """Fill in the outputs, up to the first cell that does not do what is expected; whether there was none."""
    log = kernel_log(path)
    log.parent.mkdir(parents=True, exist_ok=True)
    cells = notebooks.code_cells(notebook)
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    done, lost = [], ""
    print("  starting the kernel", flush=True)
    start = time.monotonic()
    with log.open("w") as output, Session(cwd=path.resolve().parent, log=output) as session:
        print(f"  ready after {time.monotonic() - start:.1f} s", flush=True)
        for number, cell in enumerate(cells, start=1):
            label = f"  cell {number:2}/{len(cells)}"
            began = time.monotonic()
            done.append(cell)
            try:
                cell.outputs = session.run(
                    cell.source,
                    lambda seconds, said: print(f"{label} {seconds:6.0f} s ... {_last_line(said)}", flush=True),
                )
            except Problem as problem:
                lost = f"{problem} (its log is {shown(log)})"
                break
            print(f"{label} {time.monotonic() - began:6.2f} s  {_first_line(cell.source)}", flush=True)
            if scan.problems(cell.outputs, cell.metadata):
                break
    found = []
    for number, cell in enumerate(done, start=1):
        found += [(number, problem) for problem in scan.problems(cell.outputs, cell.metadata)]
    if lost:
        found.append((len(done), lost))
    for number, problem in found:
        print(f"\n  {shown(path)}, cell {number} of {len(cells)}:")
        print(_indented(_numbered(cells[number - 1].source, scan.line(problem))))
        print(_indented(problem) + "\n")
    return not found


def kernel_log(path: Path) -> Path:
    return LOGS / f"kernel-{path.stem}.log"


def _first_line(source: str) -> str:
    return next((line for line in source.splitlines() if line.strip()), "")[:80]


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or [""])[-1][:80]


def _numbered(source: str, marked: int | None) -> str:
    return "\n".join(
        f"{'>' if number == marked else ' '}{number:3} | {line}" for number, line in enumerate(source.splitlines(), 1)
    )


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # jupyter_client leaves a thread behind that would hold up an ordinary end by some seconds.
    os._exit(code)
