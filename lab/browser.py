"""JupyterLab, for a person."""

import os
import subprocess
import sys
from pathlib import Path

from lab import console, jupyter
from lab.place import PYTHON, ROOT


def wanted() -> bool:
    """Whether somebody is there to look at it."""
    display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(display) and sys.stdout.isatty() and not os.environ.get("CI")


def open_notebooks(folder: Path) -> None:
    """Run JupyterLab in a folder until it is stopped."""
    command = [PYTHON, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}"]
    if os.geteuid() == 0:
        command.append("--allow-root")
    console.say("JupyterLab opens in the browser; Ctrl-C here stops it.")
    try:
        subprocess.run(command, cwd=ROOT, env=jupyter.environment())
    except KeyboardInterrupt:
        console.say("JupyterLab has been stopped.")
