"""evcxr_jupyter, the Rust kernel, and the kernelspec by which Jupyter finds it."""

import json
import os
import shutil
import subprocess

from lab import crates
from lab.place import EVCXR, JUPYTER_DATA, PYTHON, ROOT
from lab.swap import swap

VERSION = "0.22.0"


def install() -> None:
    crates.install(EVCXR.name, VERSION, "the Rust kernel", minutes=5)


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
