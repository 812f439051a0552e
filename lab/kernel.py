"""The Rust kernel as Jupyter starts it: evcxr_jupyter in a compile folder of its own.

Jupyter runs this file; it becomes evcxr_jupyter (same process, so interrupts, restarts and signals need no
help) after leaving a watcher behind, which clears up when that process ends, however it ends.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

if __name__ == "__main__":  # run by path, from a notebook's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from lab import template, workspace  # noqa: E402
from lab.lock import held  # noqa: E402
from lab.place import EVCXR, KERNELS, ROOT, STD, TEMPLATE, TEMPLATE_LOCK  # noqa: E402

# Names a workspace to compile in, instead of a copy of the template: how the template itself is made.
IN_PLACE = "CANDLE_EXPLAIN_LAB_WORKSPACE"
ALIVE = "alive"


def main(connection_file: str) -> None:
    if IN_PLACE in os.environ:
        home = Path(os.environ[IN_PLACE])
        watch(None, connection_file)
    else:
        home = claim()
        watch(home, connection_file)
        furnish(home)
    os.execve(EVCXR, [EVCXR, "--control_file", connection_file], environment(home))


def claim() -> Path:
    """Make a folder for this kernel, and remove those of kernels that are gone.

    A folder belongs to whoever holds the lock on its file `alive`. The lock goes with exec to evcxr and from
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


def watch(home: Path | None, connection_file: str) -> None:
    """Leave a process behind that helps this one, which is about to become evcxr, to a quick start and a clean end.

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
        outlive(kernel, preload(connection_file) if home else None)
        if leads_group:
            # Killed, evcxr leaves behind a compiler, or a cell that loops for ever.
            os.killpg(kernel, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        if home:
            shutil.rmtree(home, ignore_errors=True)
        os._exit(0)


def preload(connection_file: str) -> subprocess.Popen | None:
    """See to it that the kernel, once started, does what the first cells would have to wait for."""
    if not template.fresh():
        return None
    return subprocess.Popen([sys.executable, "-m", "lab.preload", connection_file], cwd=ROOT)


def outlive(kernel: int, preloading: subprocess.Popen | None) -> None:
    """Wait for the end of the parent process, and bring it about when Jupyter is gone without a word."""
    jupyter = int(os.environ.get("JPY_PARENT_PID", "0"))
    while os.getppid() == kernel:
        if jupyter and not running(jupyter):
            os.kill(kernel, signal.SIGTERM)
        if preloading:
            preloading.poll()
        time.sleep(0.5)
    if preloading:
        preloading.kill()


def running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def furnish(home: Path) -> None:
    """Fill `home` with the compiled template."""
    with held(TEMPLATE_LOCK, shared=True):
        if TEMPLATE.is_dir():
            workspace.copy(TEMPLATE, home)
    if not template.fresh():
        workspace.lay_out(home)
        news = "candle-explain has changed: the first cell compiles it (`python3 -m lab` does so for all)"
        print(news, file=sys.stderr)


def environment(home: Path) -> dict[str, str]:
    env = os.environ | {
        "EVCXR_TMPDIR": str(workspace.cell(home)),
        # Empty: a user's own start-up files would make our notebooks depend on them.
        "EVCXR_CONFIG_DIR": str(home / "config"),
        # candle's errors carry a backtrace otherwise, a page of it in every notebook.
        "RUST_LIB_BACKTRACE": "0",
        "RUST_SRC_PATH": str(STD),
        # evcxr "updates" the kernelspec it finds here, ours or the user's, on its own.
        "JUPYTER_PATH": str(home),
    }
    # The one overrules the flag by which all cells share one candle, the other what the template was made with.
    for name in ("CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL"):
        env.pop(name, None)
    return env


if __name__ == "__main__":
    main(sys.argv[1])
