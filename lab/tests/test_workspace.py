"""What a notebook compiles has the versions of the project's Cargo.lock, whatever else has been released."""

import json
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from lab import rust, workspace
from lab.place import ROOT

# Each the first of many that come with a feature.
OF_FEATURES = ("resvg", "hf-hub", "cudarc")

# As evcxr writes it.
CELL = """\
[package]
name = "ctx"
version = "1.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[dependencies]
candle-explain = {{ path = "{root}", features = [{features}] }}
"""


def locked(folder: Path) -> dict[str, str]:
    """The packages of a lock file that come from a registry, each with its checksum."""
    packages = tomllib.loads((folder / "Cargo.lock").read_text())["package"]
    return {f"{package['name']} {package['version']}": package["checksum"] for package in packages if "source" in package}


class Versions(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name)
        workspace.lay_out(self.home)

    def compiled(self, features: str = "") -> set[str]:
        """What cargo would compile for a cell; it brings the lock file up to date for that."""
        cell = workspace.cell(self.home)
        (cell / "src").mkdir(exist_ok=True)
        (cell / "src" / "lib.rs").write_text("")
        (cell / "Cargo.toml").write_text(CELL.format(root=ROOT, features=features))
        tree = ["cargo", "tree", "--offline", "--prefix", "none", "--format", "{p}"]
        lines = subprocess.run(tree, cwd=cell, check=True, capture_output=True, text=True).stdout.splitlines()
        return {line.split()[0] for line in lines if line}

    def test_a_cell_gets_the_versions_that_the_project_was_tested_with(self) -> None:
        tested = locked(ROOT)
        for features in ("", '"png"', '"cuda"'):
            self.compiled(features)
            self.assertLessEqual(locked(self.home).items(), tested.items())

    def test_the_versions_of_features_are_kept_until_a_notebook_asks_for_them(self) -> None:
        compiled = self.compiled()
        kept = {package.split()[0] for package in locked(self.home)}
        for name in OF_FEATURES:
            self.assertIn(name, kept - compiled)

    def test_rust_analyzer_reads_nothing_of_features_that_no_notebook_asked_for(self) -> None:
        compiled = self.compiled()
        host = next(line.split()[1] for line in rust.version().splitlines() if line.startswith("host: "))
        metadata = ["cargo", "metadata", "--offline", "--format-version", "1", "--filter-platform", host]
        cell = workspace.cell(self.home)
        told = json.loads(subprocess.run(metadata, cwd=cell, check=True, capture_output=True, text=True).stdout)
        read = {package["name"] for package in told["packages"]}
        self.assertLess(compiled - {"ctx"}, read)
        for name in (*OF_FEATURES, "axum"):
            self.assertNotIn(name, read)

    def test_what_belongs_to_the_server_is_not_compiled(self) -> None:
        self.assertFalse({"axum", "hyper", "tokio", "clap"} & self.compiled())


if __name__ == "__main__":
    unittest.main()
