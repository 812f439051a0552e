"""What is kept of a run when a notebook is saved."""

import tempfile
import unittest
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab import notebook as notebooks
from lab.place import ROOT


def executed() -> object:
    cell = new_code_cell(
        "passengers",
        metadata={"execution": {"iopub.status.busy": "2026-01-01T00:00:00Z"}, "expect": "read"},
        execution_count=7,
        outputs=[
            new_output("stream", name="stdout", text=f"read {ROOT}/data/a.csv and {Path.home()}/b.csv\n"),
            new_output("stream", name="stderr", text="thread '<unnamed>' (4711) panicked at src/a.rs:1:2:\n"),
            new_output("execute_result", {"text/plain": f"in {ROOT}"}, execution_count=7),
        ],
    )
    return new_notebook(cells=[new_markdown_cell("# Title"), cell], metadata={"widgets": {}})


class Tidy(unittest.TestCase):
    def setUp(self) -> None:
        self.notebook = executed()
        notebooks.tidy(self.notebook)
        self.cell = self.notebook.cells[1]

    def test_times_go_and_expectations_stay(self) -> None:
        self.assertEqual(self.cell.metadata, {"expect": "read"})

    def test_cells_count_from_one(self) -> None:
        self.assertEqual(self.cell.execution_count, 1)
        self.assertEqual(self.cell.outputs[-1].execution_count, 1)

    def test_no_path_of_this_machine_is_kept(self) -> None:
        self.assertEqual(self.cell.outputs[0].text, "read data/a.csv and ~/b.csv\n")
        self.assertEqual(self.cell.outputs[-1].data["text/plain"], "in .")

    def test_no_number_of_a_thread_is_kept(self) -> None:
        self.assertEqual(self.cell.outputs[1].text, "thread '<unnamed>' panicked at src/a.rs:1:2:\n")

    def test_the_kernel_is_named_and_nothing_else(self) -> None:
        self.assertEqual(self.notebook.metadata, notebooks.METADATA)

    def test_what_is_written_reads_back_the_same(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.ipynb"
            notebooks.write(self.notebook, path)
            self.assertEqual(notebooks.read(path), self.notebook)
            self.assertEqual([file.name for file in path.parent.iterdir()], ["a.ipynb"])


if __name__ == "__main__":
    unittest.main()
