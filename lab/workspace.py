"""The cargo workspace in which a kernel compiles its cells.

evcxr writes a package `ctx` and compiles it again for every cell. On its own, that package loses
candle-explain from its lock file whenever a kernel starts (each start would then ask the network, and might
take other versions than the project's), and its profile cannot tell cells from dependencies. So `ctx` is a
member, `cell/`, of a workspace whose root package names what the project's own Cargo.lock does: that lock file
holds, also offline, and the dependencies are optimised while cells compile fast.
"""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from lab.place import ROOT

MANIFEST = """\
[workspace]
members = ["cell"]
resolver = "3"

[package]
name = "kernel"
version = "0.0.0"
edition = "2024"

[lib]
path = "kernel.rs"

# All packages of the project's lock file, for no platform at all: whatever a notebook asks for has the version
# that the project was tested with, and until then nothing of it is built, nor read by rust-analyzer.
[target."cfg(any())".dependencies]
{packages}

# What `:dep candle-explain = "0.1"` means: the project that the kernel belongs to.
[patch.crates-io]
candle-explain = {{ path = {root} }}

# For the cells alone: optimising them would double the wait for each. A notebook with loops of its own says
# `:build_env CARGO_PROFILE_DEV_OPT_LEVEL=2`; evcxr's `:opt` reaches only its own package's profile.
[profile.dev]
opt-level = 0
debug = false
strip = "debuginfo"
rpath = true
debug-assertions = false
overflow-checks = false
incremental = false

[profile.dev.package."*"]
opt-level = 3
"""

# The form in which evcxr itself writes `:dep candle-explain = { path = ".." }` once it has resolved the
# path. A notebook that says so again then changes nothing.
DEPENDENCY = ":dep candle-explain = {{ path = {root} }}"

# The same in the words of a project that takes the crate from crates.io.
SPELLINGS = (':dep candle-explain = "{major}.{minor}"', ':dep candle-explain = "{major}.{minor}.{patch}"')

# One typical cell, which leaves no variable behind: after it, the compiler and rust-analyzer have read what
# every later cell needs.
FIRST_LINES = """\
let warm = {
    use candle_explain::prelude::*;
    Tensor::new(&[1f32, 2.], &Device::Cpu)?.sum_all()?.to_vec0::<f32>()?.to_string()
};
"""
FIRST_CELL = f"{FIRST_LINES}drop(warm);"


def cell(workspace: Path) -> Path:
    """The folder that evcxr takes for its own."""
    return workspace / "cell"


def dependency() -> str:
    return DEPENDENCY.format(root=_root())


def spellings() -> dict[str, str]:
    """Lines that mean what `dependency()` says, each with that: they then cost nothing where it has been read."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    major, minor, patch = version.split(".")
    return {line.format(major=major, minor=minor, patch=patch): dependency() for line in SPELLINGS}


def lay_out(workspace: Path) -> None:
    """Write, or bring up to date, all but what cargo and evcxr make themselves."""
    cell(workspace).mkdir(parents=True, exist_ok=True)
    (workspace / "Cargo.toml").write_text(MANIFEST.format(root=_root(), packages="\n".join(_locked())))
    (workspace / "kernel.rs").write_text("")
    shutil.copyfile(ROOT / "Cargo.lock", workspace / "Cargo.lock")


def copy(source: Path, target: Path) -> None:
    """Copy a compiled workspace, sharing its blocks where the file system can.

    Times are kept, or cargo would compile all of it again. Never links: cargo writes into these files.
    """
    clone = ["-pRc"] if sys.platform == "darwin" else ["-a", "--reflink=auto"]
    copied = subprocess.run(["cp", *clone, f"{source}/.", str(target)], stderr=subprocess.DEVNULL)
    if copied.returncode:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)


def _locked() -> list[str]:
    """The packages of the project's lock file that come from a registry, as dependencies of exactly that version.

    (Naming candle-explain with all its features instead would make each of them candle-explain's own, in every
    kernel: rust-analyzer would read twice as many crates before the first cell.)
    """
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return [
        f'_{number} = {{ package = "{package["name"]}", version = "={package["version"]}", default-features = false }}'
        for number, package in enumerate(packages)
        if "source" in package
    ]


def _root() -> str:
    return json.dumps(str(ROOT), ensure_ascii=False)
