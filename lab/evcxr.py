"""evcxr_jupyter, the Rust kernel, and the kernelspec by which Jupyter finds it."""

import json
import os
import shutil
import subprocess

from lab import console
from lab.place import EVCXR, JUPYTER_DATA, LAB, PYTHON, ROOT
from lab.swap import swap

VERSION = "0.22.0"


def install() -> None:
    installed = LAB / ".crates.toml"
    if EVCXR.is_file() and installed.is_file() and f'"evcxr_jupyter {VERSION} ' in installed.read_text():
        return
    # A build folder of its own: after an interruption cargo goes on where it was.
    build = LAB / "build"
    console.run(
        f"Installing the Rust kernel, evcxr_jupyter {VERSION} (about 5 minutes on 2 cores)",
        ["cargo", "install", "evcxr_jupyter", "--version", VERSION, "--locked"]
        + ["--root", str(LAB), "--target-dir", str(build), "--force"],
        hint="It needs the network once; run this again when there is one.",
    )
    shutil.rmtree(build, ignore_errors=True)


def install_kernelspec() -> None:
    """Offer Jupyter the kernel `rust`, started through `kernel.py`."""
    spec = {
        "argv": [str(PYTHON), str(ROOT / "lab" / "kernel.py"), "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
        "interrupt_mode": "message",
    }
    kernels = JUPYTER_DATA / "kernels"
    path = kernels / "rust" / "kernel.json"
    if path.is_file() and json.loads(path.read_text()) == spec:
        return
    new = JUPYTER_DATA.with_name("jupyter.new")
    shutil.rmtree(new, ignore_errors=True)
    # evcxr's own installer, aimed at a folder of ours, brings the icons.
    subprocess.run([EVCXR, "--install"], env=os.environ | {"JUPYTER_PATH": str(new)}, check=True, capture_output=True)
    (new / "kernels" / "rust" / "kernel.json").write_text(json.dumps(spec, indent=1))
    swap(new, JUPYTER_DATA)
