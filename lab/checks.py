"""Every check of the project, one after the other; a failure does not keep the next ones from running."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab import console, crates, installation, jupyter, new, template, walkthrough
from lab.place import BIN, KERNEL_BUILD, NOTEBOOKS, PYTHON, ROOT, STAND_INS, TEST_NOTEBOOKS, shown
from lab.problem import Problem

# Given each file by name: `cargo fmt` does not find those that a macro declares.
FORMAT = "rustfmt --check"
# All features but those of devices: `metal` needs macOS, and `cuda` is compiled by itself, with an `nvcc` that does nothing.
FEATURES = "--features candle-explain/hub,candle-explain/png"
# What counts bytes takes minutes, and other packages' features do not change it: once is enough.
ONCE = "memory"
TESTS = [ROOT / package / "tests" for package in (".", "server", "cli")]
AGAIN = sorted(
    {path.stem for tests in TESTS for path in tests.glob("*.rs")}.union(
        path.parent.name for tests in TESTS for path in tests.glob("*/main.rs")
    )
    - {ONCE}
)
RUST = (
    (f"cargo clippy --release --workspace --all-targets {FEATURES} -- -D warnings", {}),
    (f"cargo doc --no-deps --workspace {FEATURES}", {"RUSTDOCFLAGS": "-Dwarnings"}),
    # The library as notebooks compile it: what it does must not follow from a feature that another package wants.
    ("cargo test --release", {}),
    (f"cargo test --release --workspace {FEATURES} --lib --bins {' '.join(f'--test {name}' for name in AGAIN)}", {}),
    (f"cargo test --doc --release --workspace {FEATURES}", {}),
    ("cargo check --release --features cuda",
     {"PATH": f"{STAND_INS}{os.pathsep}{os.environ['PATH']}", "CUDA_COMPUTE_CAP": "80"}),
)
DENY = ("cargo-deny", "0.20.2", "the check of licences", 3)
# Each with the program that runs it: name, version, what it is, minutes to install it.
WITH_TOOLS = (
    # Every choice of them compiles by itself.
    ("cargo hack clippy --workspace --feature-powerset --exclude-features cuda,metal -- -D warnings",
     ("cargo-hack", "0.6.46", "the check of features", 1)),
    ("cargo deny --locked check licenses bans sources", DENY),
    ("cargo deny --manifest-path kernel/Cargo.toml --config deny.toml --locked check licenses bans sources", DENY),
)
SOURCES = ("src", "tests", "benches", "examples", "server", "cli", "fuzz/targets", "kernel/src")
# Clippy as the compiler of the tests, in the folder and with the profile that the kernel itself is built with: evcxr,
# with rust-analyzer in it, is then compiled once, in eight minutes.
KERNEL = f"cargo test --release --locked --manifest-path kernel/Cargo.toml --target-dir {shown(KERNEL_BUILD)}"
CLIPPY = {"RUSTC_WORKSPACE_WRAPPER": "clippy-driver", "CLIPPY_ARGS": "-Dwarnings__CLIPPY_HACKERY__"}
LAB = "The lab's own tests"
NEW = "The notebook of a new folder"
READY = "Everything that notebooks need"


def new_folder() -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "mine"
        new.make(folder)
        for path in walkthrough.found_in(folder):
            walkthrough.execute(path)


def run() -> bool:
    """Run them all; whether all passed."""
    outcome: dict[str, bool] = {}

    def check(name: str, action: Callable[[], None]) -> None:
        try:
            action()
            outcome[name] = True
        except Problem as problem:
            outcome[name] = False
            print(problem, file=sys.stderr, flush=True)
            console.say(f"  FAILED: {name}")

    with_tools = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    files = sorted(shown(path) for folder in SOURCES for path in (ROOT / folder).rglob("*.rs"))
    check(FORMAT, lambda: console.run(FORMAT, [*FORMAT.split(), "--edition", "2024", *files]))
    for line, env in RUST:
        check(line, lambda: console.run(line, line.split(), env=os.environ | env))
    for line, program in WITH_TOOLS:
        check(line, lambda: (crates.install(*program), console.run(line, line.split(), env=with_tools)))
    check(KERNEL, lambda: console.run(KERNEL, KERNEL.split(), env=os.environ | CLIPPY))
    check(READY, lambda: (installation.install(), jupyter.install_for_tests(), template.warm()))
    if outcome[READY]:
        check(LAB, lambda: console.run(LAB, [PYTHON, "-m", "unittest", "discover", "-t", ".", "-s", "lab/tests"]))
        for path in walkthrough.found_in(NOTEBOOKS) + walkthrough.found_in(TEST_NOTEBOOKS):
            check(shown(path), lambda: walkthrough.execute(path))
        check(NEW, new_folder)

    failed = [name for name, passed in outcome.items() if not passed]
    console.say(f"{len(outcome) - len(failed)} passed, {len(failed)} failed" + "".join(f"\n  {name}" for name in failed))
    return not failed
