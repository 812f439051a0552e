"""The kernelspec by which Jupyter finds the kernel `rust`."""

import json
import shutil

from lab.place import JUPYTER_DATA, PYTHON, ROOT
from lab.swap import swap

SPEC = {
    "argv": [str(PYTHON), str(ROOT / "lab" / "kernel.py"), "{connection_file}"],
    "display_name": "Rust",
    "language": "rust",
    "interrupt_mode": "message",
}


def install() -> None:
    folder = JUPYTER_DATA / "kernels" / "rust"
    path = folder / "kernel.json"
    if path.is_file() and json.loads(path.read_text()) == SPEC:
        return
    new = JUPYTER_DATA.with_name("jupyter.new")
    shutil.rmtree(new, ignore_errors=True)
    (new / folder.relative_to(JUPYTER_DATA)).mkdir(parents=True)
    (new / path.relative_to(JUPYTER_DATA)).write_text(json.dumps(SPEC, indent=1))
    swap(new, JUPYTER_DATA)
