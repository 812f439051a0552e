"""What a notebook is exported as."""

import base64
import tempfile
import unittest
from pathlib import Path

from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab import export
from lab import notebook as notebooks
from lab.problem import Problem

PICTURE = b"\x89PNG\r\n\x1a\n"
FORMULAS = "In a line $y_0 + \\alpha y$, and alone:\n\n$$\\int_0^1 \\frac{\\partial F}{\\partial y}\\, d\\alpha$$\n\n"


class Export(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source, self.results = Path(folder.name) / "notebooks", Path(folder.name) / "results"
        (source / "media").mkdir(parents=True)
        (source / "media" / "a.png").write_bytes(PICTURE)
        drawn = {"text/html": "<b>bold</b>", "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>"}
        cells = [
            new_markdown_cell(FORMULAS + "![a](media/a.png)"),
            new_code_cell("x", outputs=[new_output("display_data", drawn)]),
        ]
        export.with_files(new_notebook(cells=cells), source / "tale.ipynb", self.results)
        self.page = BeautifulSoup((self.results / "tale.html").read_text(), "html.parser")

    def test_nothing_is_loaded_and_nothing_runs(self) -> None:
        self.assertEqual(self.page.find_all(["script", "link", "iframe", "object", "embed"]), [])
        self.assertNotIn("@import", self.page.style.text)
        for element in self.page.find_all(src=True):
            self.assertTrue(element["src"].startswith("data:"), element["src"])

    def test_the_pictures_are_within(self) -> None:
        self.assertEqual(self.page.img["src"], f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}")

    def test_formulas_are_drawn_without_a_script(self) -> None:
        line, block = self.page.find_all("math")
        self.assertEqual((line["display"], block["display"]), ("inline", "block"))
        self.assertIsNotNone(block.mfrac)
        self.assertNotIn("$", self.page.main.text)

    def test_the_copy_of_the_notebook_finds_its_pictures(self) -> None:
        self.assertEqual((self.results / "media" / "a.png").read_bytes(), PICTURE)
        self.assertTrue((self.results / "tale.ipynb").is_file())


class Saved(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def saved(self, *outputs: dict) -> Path:
        path = self.folder / "tale.ipynb"
        notebooks.write(new_notebook(cells=[new_code_cell("x", outputs=list(outputs))]), path)
        return path

    def test_the_page_has_the_outputs_and_lies_beside_the_notebook(self) -> None:
        page = export.as_it_is(self.saved(new_output("display_data", {"text/html": "<b>bold</b>"})), self.folder)
        self.assertEqual(page, self.folder / "tale.html")
        self.assertEqual(BeautifulSoup(page.read_text(), "html.parser").b.text, "bold")
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"tale.html", "tale.ipynb"})

    def test_a_notebook_without_outputs_is_not_exported(self) -> None:
        with self.assertRaisesRegex(Problem, "has no outputs: save them with"):
            export.as_it_is(self.saved(), self.folder)
        self.assertFalse((self.folder / "tale.html").exists())


if __name__ == "__main__":
    unittest.main()
