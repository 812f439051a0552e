"""When a notebook's results are still good."""

import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from lab import walkthrough


class Fingerprint(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "a.ipynb"
        self.table = self.folder / "passengers.csv"
        self.cell = {"cell_type": "code", "source": "1 + 1", "metadata": {}, "outputs": []}
        for name, value in {"template.key": lambda: self.key, "PASSENGERS": self.table}.items():
            patch = mock.patch(f"lab.walkthrough.{name}", value)
            patch.start()
            self.addCleanup(patch.stop)
        self.key = "one"

    def now(self) -> str:
        self.path.write_text(json.dumps({"cells": [self.cell]}))
        return walkthrough.fingerprint_of(self.path)

    def test_outputs_do_not_count(self) -> None:
        before = self.now()
        self.cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "2"}]
        self.assertEqual(self.now(), before)

    def test_cells_the_crate_and_the_data_do(self) -> None:
        seen = [self.now()]
        self.cell["source"] = "1 + 2"
        seen.append(self.now())
        self.key = "two"
        seen.append(self.now())
        self.table.write_text("name\n")
        seen.append(self.now())
        with mock.patch.dict("os.environ", CANDLE_EXPLAIN_DATA=str(self.folder)):
            seen.append(self.now())
        self.assertEqual(len(set(seen)), len(seen))


if __name__ == "__main__":
    unittest.main()
