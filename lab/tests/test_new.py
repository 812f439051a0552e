"""A new folder: whole, and never in the place of another."""

import tempfile
import unittest
from pathlib import Path

from lab import new
from lab.place import ROOT
from lab.problem import Problem


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.parent = Path(folder.name)

    def test_it_has_all_files_and_leaves_nothing_beside_it(self) -> None:
        new.make(self.parent / "deep" / "mine")
        self.assertEqual({path.name for path in (self.parent / "deep" / "mine").iterdir()}, set(new.FILES))
        self.assertEqual([path.name for path in (self.parent / "deep").iterdir()], ["mine"])

    def test_an_empty_folder_is_filled(self) -> None:
        (self.parent / "mine").mkdir()
        new.make(self.parent / "mine")
        self.assertTrue((self.parent / "mine" / "explain.ipynb").is_file())

    def test_what_is_there_stays(self) -> None:
        (self.parent / "explain.ipynb").write_text("mine")
        with self.assertRaisesRegex(Problem, "not an empty folder"):
            new.make(self.parent)
        with self.assertRaisesRegex(Problem, "not an empty folder"):
            new.make(self.parent / "explain.ipynb")
        self.assertEqual((self.parent / "explain.ipynb").read_text(), "mine")

    def test_the_project_itself_stays_as_it_is(self) -> None:
        with self.assertRaisesRegex(Problem, "within candle-explain"):
            new.make(ROOT / "mine")
        self.assertFalse((ROOT / "mine").exists())

    def test_a_place_where_nothing_can_be_made_is_said(self) -> None:
        (self.parent / "file").write_text("")
        with self.assertRaisesRegex(Problem, "cannot make"):
            new.make(self.parent / "file" / "mine")


if __name__ == "__main__":
    unittest.main()
