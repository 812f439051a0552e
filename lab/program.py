"""The kernel's program, built from `kernel/`."""

import hashlib
import os
import shutil

from lab import console, rust
from lab.place import KERNEL, KERNEL_BUILD, KERNEL_SOURCES, ROOT

BUILD = ("cargo", "build", "--release", "--locked", "--manifest-path", KERNEL_SOURCES / "Cargo.toml")


def install() -> None:
    stamp = KERNEL_BUILD / "installed"
    now = key()
    if KERNEL.is_file() and stamp.is_file() and stamp.read_text() == now:
        return
    known = (KERNEL_BUILD / "release" / KERNEL.name).is_file()
    console.run(
        "Building the Rust kernel" + ("" if known else " (about 8 minutes on 2 cores)"),
        [*BUILD, "--target-dir", KERNEL_BUILD],
        hint="It needs the network once; run this again when there is one.",
    )
    # A kernel that runs keeps the file that it was started from.
    KERNEL.parent.mkdir(parents=True, exist_ok=True)
    new = KERNEL.with_suffix(".new")
    shutil.copy2(KERNEL_BUILD / "release" / KERNEL.name, new)
    os.replace(new, KERNEL)
    stamp.write_text(now)


def key() -> str:
    """What the program depends on, in one word."""
    digest = hashlib.sha256(rust.version().encode())
    manifests = [KERNEL_SOURCES / name for name in ("Cargo.toml", "Cargo.lock")]
    for path in [*manifests, *sorted((KERNEL_SOURCES / "src").rglob("*.rs"))]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)} ".encode() + content)
    return digest.hexdigest()
