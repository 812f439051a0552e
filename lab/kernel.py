"""The Rust kernel as Jupyter starts it: the program of `kernel/` in a compile folder of its own.

Jupyter runs this file; it becomes that program (same process, so interrupts, restarts and signals need no
help) after leaving a watcher behind, which clears up when that process ends, however it ends.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

if __name__ == "__main__":  # run by path, from a notebook's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lab import workspace  # noqa: E402
from lab.lock import held  # noqa: E402
from lab.place import KERNEL, KERNELS, ROOT, STD  # noqa: E402

# Names a workspace to compile in, instead of a copy of the template: how the template itself is made.
IN_PLACE = "CANDLE_EXPLAIN_LAB_WORKSPACE"
ALIVE = "alive"


def main(connection_file: str) -> None:
    if IN_PLACE in os.environ:
        home = Path(os.environ[IN_PLACE])
        watch(None)
        prepare = []
    else:
        home = claim()
        watch(home)
        prepare = ["--prepare", sys.executable, str(ROOT / "lab" / "furnish.py"), str(home)]
    os.execve(KERNEL, [KERNEL, connection_file, *prepare], environment(home))


def claim() -> Path:
    """Make a folder for this kernel, and remove those of kernels that are gone.

    A folder belongs to whoever holds the lock on its file `alive`. The lock goes with exec to the program and from
    there to its children, so it is free exactly when no process of that kernel is left.
    """
    with held(KERNELS / "lock"):
        for other in KERNELS.glob("*/"):
            try:
                with open(other / ALIVE, "a") as alive:
                    flock(alive, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(other, ignore_errors=True)
        home = Path(tempfile.mkdtemp(dir=KERNELS, prefix=time.strftime("%m%d-%H%M%S-")))
        alive = os.open(home / ALIVE, os.O_CREAT | os.O_RDWR, 0o644)
        flock(alive, LOCK_EX)
        os.set_inheritable(alive, True)
    return home


def watch(home: Path | None) -> None:
    """Leave a process behind that helps this one, which is about to become the kernel, to a clean end.

    The end takes `home` with it, unless that is None: a template stays.
    """
    kernel = os.getpid()
    leads_group = os.getpgrp() == kernel
    if os.fork():
        return
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        os.closerange(3, 1024)
        outlive(kernel)
        if leads_group:
            # Killed, the kernel leaves behind a compiler, or a cell that loops for ever.
            os.killpg(kernel, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        if home:
            shutil.rmtree(home, ignore_errors=True)
        os._exit(0)


def outlive(kernel: int) -> None:
    """Wait for the end of the parent process, and bring it about when Jupyter is gone without a word."""
    jupyter = int(os.environ.get("JPY_PARENT_PID", "0"))
    while os.getppid() == kernel:
        if jupyter and not running(jupyter):
            os.kill(kernel, signal.SIGTERM)
        time.sleep(0.5)


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def environment(home: Path) -> dict[str, str]:
    env = os.environ | {
        "CANDLE_EXPLAIN_SPELLINGS": json.dumps(workspace.spellings()),
        "EVCXR_TMPDIR": str(workspace.cell(home)),
        # Empty: a user's own start-up files would make our notebooks depend on them.
        "EVCXR_CONFIG_DIR": str(home / "config"),
        # candle's errors carry a backtrace otherwise, a page of it in every notebook.
        "RUST_LIB_BACKTRACE": "0",
        "RUST_SRC_PATH": str(STD),
    }
    # The one overrules the flag by which all cells share one candle, the other what the template was made with.
    for name in ("CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL"):
        env.pop(name, None)
    return env


if __name__ == "__main__":
    main(sys.argv[1])
