"""Programs from crates.io, each of one version, in `.lab/bin`."""

import shutil

from lab import console
from lab.place import BIN, LAB


def install(name: str, version: str, what: str, minutes: int) -> None:
    installed = LAB / ".crates.toml"
    if (BIN / name).is_file() and installed.is_file() and f'"{name} {version} ' in installed.read_text():
        return
    # A build folder of its own: after an interruption cargo goes on where it was.
    build = LAB / "build" / name
    time = f"{minutes} minutes" if minutes > 1 else "a minute"
    console.run(
        f"Installing {what}, {name} {version} (about {time} on 2 cores)",
        ["cargo", "install", name, "--version", version, "--locked"]
        + ["--root", str(LAB), "--target-dir", str(build), "--force"],
        hint="It needs the network once; run this again when there is one.",
    )
    shutil.rmtree(build, ignore_errors=True)
