"""Every link of every notebook, in every program that shows notebooks."""

import tempfile
import unittest
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab import links, notebook as notebooks
from lab import walkthrough
from lab.place import NOTEBOOKS, TEST_NOTEBOOKS


class Links(unittest.TestCase):
    def problems(self, text: str) -> list[str]:
        output = new_output("display_data", {"text/html": text})
        found = [
            links.problems(new_notebook(cells=[cell]), self.folder)
            for cell in (new_markdown_cell(text), new_code_cell("x", outputs=[output]))
        ]
        self.assertEqual(found[0], found[1])
        return found[0]

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "notebooks"
        (self.folder / "media").mkdir(parents=True)
        for name in ("media/a b.png", "media/c.svg", "../outside.png", "d.ipynb"):
            (self.folder / name).write_text("")

    def test_what_is_there_and_what_is_elsewhere_is_fine(self) -> None:
        for link in ("media/a%20b.png", "https://example.org/a.svg", "data:image/png;base64,AA==", "#top"):
            self.assertEqual(self.problems(f'<img src="{link}">'), [], link)
        self.assertEqual(self.problems('<a href="d.ipynb#here">d</a> <a href="media/c.svg">c</a>'), [])

    def test_what_a_viewer_would_not_find_is_told(self) -> None:
        for link in ("../outside.png", "/outside.png", "media/../../outside.png"):
            self.assertIn("outside the notebook's folder", self.problems(f'<img src="{link}">')[0])
        for link in ("media/none.png", "Media/a%20b.png", "d.ipynb/a.png"):
            self.assertIn("is not there", self.problems(f'<img src="{link}">')[0])
        self.assertIn("not every viewer", self.problems('<img src="media/c.svg">')[0])

    def test_markdown_is_read_as_such(self) -> None:
        notebook = new_notebook(cells=[new_markdown_cell("![a](no.png) and [b](no.md 'title'), not `![c](code.png)`")])
        self.assertEqual(links.relative(notebook), {"no.png": True, "no.md": False})

    def test_every_notebook_of_the_project(self) -> None:
        paths = walkthrough.found_in(NOTEBOOKS) + walkthrough.found_in(TEST_NOTEBOOKS)
        named = 0
        for path in paths:
            notebook = notebooks.read(path)
            named += len(links.relative(notebook))
            self.assertEqual(links.problems(notebook, path.parent), [], path.name)
        self.assertGreater(named, 0)


if __name__ == "__main__":
    unittest.main()
