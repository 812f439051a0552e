"""A running Rust kernel, and cells executed in it one by one."""

import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from subprocess import DEVNULL
from typing import IO

from jupyter_client.manager import KernelManager
from nbformat import from_dict
from nbformat.v4 import output_from_msg

from lab import scan
from lab.problem import Problem

START_TIMEOUT = 600
CELL_TIMEOUT = 3600
BEAT = 15
SHOWN = ("stream", "execute_result", "display_data", "error")
# What the kernel leaves in a place that was only for the time of the work.
NOTHING = {"text/plain": ""}


class Session:
    def __init__(self, cwd: Path, log: IO) -> None:
        self.cwd = cwd
        self.log = log
        self.manager = KernelManager(kernel_name="rust")
        self.outputs: list = []
        # The outputs that the kernel may change, by the name that it gave them.
        self.places: dict[str, dict] = {}

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
        """Execute a cell; its outputs, in the order in which they came."""
        request = self.client.execute(code, allow_stdin=False, stop_on_error=False)
        self.outputs, self.places = [], {}
        start = beat = time.monotonic()
        while not self._take(request):
            now = time.monotonic()
            if not self.manager.is_alive():
                raise Problem("the Rust kernel died in this cell")
            if now - start > CELL_TIMEOUT:
                raise Problem(f"the Rust kernel was not done with this cell after {CELL_TIMEOUT} s")
            if now - beat > BEAT:
                beat = now
                progress(now - start, scan.text(self.outputs[-1]) if self.outputs else "")
        return self.outputs

    def _take(self, request: str) -> bool:
        """Take one message, if one comes within a second; whether it says that the request is done."""
        try:
            message = self.client.get_iopub_msg(timeout=1)
        except Empty:
            return False
        if message["parent_header"].get("msg_id") != request:
            return False
        kind, content = message["msg_type"], message["content"]
        if kind == "status":
            return content["execution_state"] == "idle"
        if kind == "update_display_data":
            self._change(content)
        elif kind in SHOWN:
            output = output_from_msg(message)
            name = content.get("transient", {}).get("display_id")
            if name:
                self.places[name] = output
            keep(self.outputs, output)
        return False

    def _change(self, content: dict) -> None:
        place = self.places.get(content["transient"]["display_id"])
        if place is not None:
            place.data = from_dict(content["data"])
            if content["data"] == NOTHING:
                self.outputs.remove(place)


def keep(outputs: list, output: dict) -> None:
    """Add an output; texts that come one after the other are one text in a notebook."""
    last = outputs[-1] if outputs else None
    if last and output["output_type"] == last["output_type"] == "stream" and output["name"] == last["name"]:
        last["text"] += output["text"]
    else:
        outputs.append(output)
