"""Which notebooks have something read for them before their first cell runs."""

import tempfile
import unittest
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from lab import furnish
from lab.place import NOTEBOOKS


class ReadInAdvance(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "own.ipynb"

    def read_for(self, *cells: str) -> list[str]:
        nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), self.path)
        return furnish.read_in_advance(self.path)

    def test_the_walkthroughs_have_their_crate_read(self) -> None:
        first, second = furnish.read_in_advance(NOTEBOOKS / "02_sentiment.ipynb")
        self.assertTrue(first.startswith(":dep candle-explain = "))
        self.assertTrue(second.endswith("warm"))

    def test_so_have_those_that_name_it_as_it_is_published(self) -> None:
        self.assertEqual(len(self.read_for(':dep candle-explain = "0.1"')), 2)

    def test_others_have_nothing_read(self) -> None:
        self.assertEqual(self.read_for("1 + 1"), [])
        self.assertEqual(self.read_for(':dep candle-explain = { path = "..", features = ["png"] }'), [])
        self.assertEqual(self.read_for(':dep candle-explain = "9.9"'), [])

    def test_a_notebook_that_is_not_there_is_no_problem(self) -> None:
        self.assertEqual(furnish.read_in_advance(self.path), [])
        self.assertEqual(furnish.read_in_advance(Path("")), [])
        self.path.write_text("nonsense")
        self.assertEqual(furnish.read_in_advance(self.path), [])


if __name__ == "__main__":
    unittest.main()
