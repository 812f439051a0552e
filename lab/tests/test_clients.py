"""A failing notebook fails in every program that runs notebooks, at the right cell and with the right words."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from lab import jupyter, notebook, scan
from lab.place import PYTHON
from lab.tests.test_protocol import display

FAILURES = {
    'panic!("there is nothing here")': ("panic", "there is nothing here"),
    "let text: String = 1;": ("E0308", "mismatched types"),
    '"x".parse::<i32>()?': ("Error", "invalid digit found in string"),
}
NEVER = 'println!("never");'


def failing(code: str) -> nbformat.NotebookNode:
    cells = [new_code_cell(f'{display("bar", "50%")} 6 * 7'), new_code_cell(code), new_code_cell(NEVER)]
    return new_notebook(cells=cells, metadata=notebook.METADATA)


class Clients(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(os.environ.update, dict(os.environ))
        os.environ |= jupyter.environment()

    def test_nbclient_stops_at_the_cell_and_keeps_what_was_shown(self) -> None:
        for code, (name, message) in FAILURES.items():
            with self.subTest(name):
                ran = failing(code)
                with self.assertRaises(CellExecutionError) as failure:
                    NotebookClient(ran, kernel_name="rust", timeout=120).execute()
                self.assertEqual((failure.exception.ename, failure.exception.evalue), (name, message))
                first, failed, never = ran.cells
                [result] = first.outputs
                self.assertEqual(result.data["text/plain"], "42")
                self.assertEqual([output.output_type for output in failed.outputs], ["error"])
                self.assertEqual((failed.execution_count, never.outputs), (2, []))

    def test_papermill_and_nbconvert_fail_with_the_message(self) -> None:
        path, ran = self.folder / "failing.ipynb", self.folder / "ran.ipynb"
        commands = (
            [PYTHON, "-m", "papermill", path, ran],
            [PYTHON, "-m", "nbconvert", "--to", "notebook", "--execute", path, "--output", ran],
        )
        for command, (code, (name, message)) in zip(commands, FAILURES.items()):
            with self.subTest(command[2]):
                nbformat.write(failing(code), path)
                outcome = subprocess.run(command, capture_output=True, text=True)
                self.assertNotEqual(outcome.returncode, 0)
                said = scan.ANSI.sub("", outcome.stderr)
                self.assertIn(name, said)
                self.assertIn(message, said)
                self.assertNotIn("never\n", outcome.stderr)


if __name__ == "__main__":
    unittest.main()
