"""The Rust toolchain: that it is there, and the part of it that notebooks need."""

import functools
import shutil
import subprocess
from pathlib import Path

from lab import console
from lab.place import STD
from lab.problem import Problem
from lab.swap import swap

# rust-analyzer infers the types of a notebook's variables from these; the rest of the library's sources
# (vector intrinsics for every processor, mostly) only makes each kernel start three seconds later.
CRATES = ("core", "alloc", "std")


@functools.cache
def version() -> str:
    """The compiler, to the commit: what it has compiled is of no use to another one."""
    return _ask("rustc", "-vV")


def require() -> None:
    if not shutil.which("cargo") or not shutil.which("rustc"):
        raise Problem(
            "cargo is not on the PATH. Install Rust from https://rustup.rs, open a new shell, run this again."
        )
    if not shutil.which("cc"):
        raise Problem(
            "no C compiler (cc) is on the PATH, and Rust links with it. Install one (Debian, Ubuntu: "
            "`apt install build-essential`; macOS: `xcode-select --install`), run this again."
        )


def install_std_sources() -> None:
    """Put the sources of `std` where our kernels look for them."""
    stamp = STD / "rustc"
    if stamp.is_file() and stamp.read_text() == version():
        return
    library = Path(_ask("rustc", "--print", "sysroot").strip()) / "lib/rustlib/src/rust/library"
    if not (library / "core").is_dir():
        console.run(
            "Installing the sources of Rust's standard library (rustup component add rust-src)",
            ["rustup", "component", "add", "rust-src"],
            hint="Notebooks need these sources to infer types: install `rust-src` with rustup or with the "
            "package manager that Rust came from, run this again.",
        )
    new = STD.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    for crate in CRATES:
        shutil.copytree(library / crate, new / crate, ignore=shutil.ignore_patterns("tests", "benches"))
    (new / stamp.name).write_text(version())
    swap(new, STD)


def _ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
