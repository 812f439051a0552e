"""Kernels' folders: each its own, removed with its kernel and not before."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from lab import kernel, workspace
from lab.place import ROOT

# Takes a folder as a kernel does, then becomes another program, as a kernel does.
KERNEL = """
import os, sys
from pathlib import Path
from lab import kernel
kernel.KERNELS = Path(sys.argv[1])
home = kernel.claim()
if sys.argv[2] == "watched":
    kernel.watch(home)
print(home, flush=True)
os.execvp("sleep", ["sleep", "60"])
"""


class Environment(unittest.TestCase):
    def test_the_crate_as_its_users_name_it_is_this_project(self) -> None:
        spellings = json.loads(kernel.environment(Path("home"))["CANDLE_EXPLAIN_SPELLINGS"])
        self.assertEqual(spellings[':dep candle-explain = "0.1"'], workspace.dependency())


class Folders(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.kernels = Path(folder.name)

    def start(self, watched: str) -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", KERNEL, self.kernels, watched],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, Path(process.stdout.readline().strip())

    def claim(self) -> Path:
        with mock.patch.object(kernel, "KERNELS", self.kernels):
            return kernel.claim()

    def test_a_living_kernel_keeps_its_folder(self) -> None:
        _, home = self.start("unwatched")
        self.assertNotEqual(self.claim(), home)
        self.assertTrue(home.is_dir())

    def test_the_folder_of_a_dead_kernel_goes_when_the_next_one_starts(self) -> None:
        process, home = self.start("unwatched")
        process.kill()
        process.wait()
        self.assertTrue(home.is_dir())
        self.claim()
        self.assertFalse(home.exists())

    def test_a_watched_kernel_that_is_killed_leaves_nothing(self) -> None:
        for blow in (signal.SIGTERM, signal.SIGKILL):
            process, home = self.start("watched")
            os.kill(process.pid, blow)
            deadline = time.monotonic() + 10
            while home.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertFalse(home.exists())


if __name__ == "__main__":
    unittest.main()
