"""The commands: `python3 -m lab`, `python3 -m lab test`, `python3 -m lab run`."""

import argparse
import sys
from pathlib import Path

from lab import browser, checks, console, installation, jupyter, new, template, walkthrough
from lab.lock import held
from lab.place import LOCK, NOTEBOOKS
from lab.problem import Problem

OLDEST_PYTHON = (3, 11)


def main() -> int:
    asked = arguments()
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise Problem(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is {sys.version}.")
        with held(LOCK, waiting=lambda: console.say("Another run of the lab is at work here: waiting for its end.")):
            passed = asked.command(asked)
        if passed and asked.browser and (browser.wanted() or asked.folder):
            browser.open_notebooks(asked.folder or NOTEBOOKS)
    except Problem as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; run the same command to go on from here.", file=sys.stderr)
        return 130
    return 0 if passed else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m lab",
        description="Install what is missing, run the walkthrough notebooks, open JupyterLab.",
    )
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="do not open JupyterLab")
    parser.add_argument("--again", action="store_true", help="run the notebooks even where nothing has changed")
    parser.set_defaults(command=walkthroughs, folder=None)
    commands = parser.add_subparsers(title="other commands", metavar="")
    test = commands.add_parser("test", help="run every check of the project")
    test.set_defaults(command=lambda asked: checks.run(), browser=False)
    run = commands.add_parser("run", help="run notebooks, and fail if a cell does")
    run.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    run.add_argument("--save", action="store_true", help="write the outputs into the notebooks")
    run.set_defaults(command=given, browser=False)
    export = commands.add_parser("export", help="make web pages of notebooks and their saved outputs, of one file each")
    export.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    export.add_argument("--to", type=Path, metavar="FOLDER", help="where the pages go, instead of beside the notebooks")
    export.set_defaults(command=exported, browser=False)
    folder = commands.add_parser("new", help="make a folder of your own, with a notebook to begin with")
    folder.add_argument("folder", type=Path, metavar="FOLDER")
    folder.set_defaults(command=made, browser=False)
    opened = commands.add_parser("open", help="open a folder's notebooks in JupyterLab")
    opened.add_argument("folder", type=Path, metavar="FOLDER")
    opened.set_defaults(command=readied, browser=True)
    return parser.parse_args()


def walkthroughs(asked: argparse.Namespace) -> bool:
    ready()
    walkthrough.run_all(asked.again)
    return True


def given(asked: argparse.Namespace) -> bool:
    require(asked.notebooks)
    ready()
    for path in asked.notebooks:
        walkthrough.execute(path, *(["--save"] if asked.save else []))
    return True


def exported(asked: argparse.Namespace) -> bool:
    require(asked.notebooks)
    jupyter.install()
    walkthrough.export(asked.notebooks, asked.to)
    return True


def made(asked: argparse.Namespace) -> bool:
    new.make(asked.folder)
    return True


def readied(asked: argparse.Namespace) -> bool:
    if not asked.folder.is_dir():
        raise Problem(f"there is no folder {asked.folder}: `python3 -m lab new {asked.folder}` makes it")
    ready()
    return True


def require(paths: list[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise Problem(f"there is no notebook {path}")


def ready() -> None:
    installation.install()
    template.warm()


if __name__ == "__main__":
    sys.exit(main())
