"""A running Rust kernel, and cells executed in it one by one."""

import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from subprocess import DEVNULL
from typing import IO

from jupyter_client.manager import KernelManager
from nbformat.v4 import output_from_msg

from lab import scan
from lab.problem import Problem

START_TIMEOUT = 600
CELL_TIMEOUT = 3600
STRAGGLERS = 0.05
BEAT = 15
SHOWN = ("stream", "execute_result", "display_data", "error")


class Session:
    def __init__(self, cwd: Path, log: IO) -> None:
        self.cwd = cwd
        self.log = log
        self.manager = KernelManager(kernel_name="rust")
        self.outputs: dict[str, list] = {}

    def __enter__(self) -> "Session":
        self.manager.start_kernel(cwd=str(self.cwd), stdout=DEVNULL, stderr=self.log)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=START_TIMEOUT)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, RuntimeError):
                raise Problem(f"the Rust kernel did not start: {error}") from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()

    def run(self, code: str, progress: Callable[[float, str], None] = lambda seconds, said: None) -> list:
        """Execute a cell; its outputs, in the order in which they came.

        The list grows should more come in while later cells run.
        """
        request = self.client.execute(code, allow_stdin=False, stop_on_error=False)
        outputs = self.outputs[request] = []
        start = beat = time.monotonic()
        while not self._take(1, until=request):
            now = time.monotonic()
            if not self.manager.is_alive():
                raise Problem("the Rust kernel died in this cell")
            if now - start > CELL_TIMEOUT:
                raise Problem(f"the Rust kernel was not done with this cell after {CELL_TIMEOUT} s")
            if now - beat > BEAT:
                beat = now
                progress(now - start, scan.text(outputs[-1]) if outputs else "")
        self.settle(STRAGGLERS)
        return outputs

    def settle(self, quiet: float) -> None:
        """Take what is still on its way, until nothing has come for that many seconds.

        What a cell writes to stderr passes through evcxr on its own, and may come after the cell's end.
        """
        while self._take(quiet) is not None:
            pass

    def _take(self, timeout: float, until: str = "") -> bool | None:
        """Take one message. True: that request is done. None: no message came in time."""
        try:
            message = self.client.get_iopub_msg(timeout=timeout)
        except Empty:
            return None
        request = message["parent_header"].get("msg_id")
        content = message["content"]
        if message["msg_type"] == "status":
            return request == until and content["execution_state"] == "idle"
        if message["msg_type"] in SHOWN and request in self.outputs:
            keep(self.outputs[request], output_from_msg(message))
        return False


def keep(outputs: list, output: dict) -> None:
    """Add an output; evcxr sends a line at a time, which a notebook holds as one text."""
    last = outputs[-1] if outputs else None
    if last and output["output_type"] == last["output_type"] == "stream" and output["name"] == last["name"]:
        last["text"] += output["text"]
    else:
        outputs.append(output)
