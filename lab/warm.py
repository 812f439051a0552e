"""Compiles a workspace by using it: one real kernel, in that very folder, and a few cells."""

import os
import sys

from lab import kernel, scan, workspace
from lab.place import ROOT
from lab.session import Session

# A variable whose type cannot be named makes evcxr run `cargo check`, which compiles every dependency a
# second time. Once here, or half a minute at a user's first such mistake.
UNNAMEABLE = "let closure = |x: f32| x;"


def main(folder: str) -> int:
    os.environ[kernel.IN_PLACE] = folder
    print("starting a kernel", flush=True)
    with Session(cwd=ROOT, log=sys.stdout) as session:
        for what, code in (
            ("candle-explain and its dependencies", workspace.dependency()),
            ("a first cell", workspace.FIRST_CELL),
        ):
            print(f"compiling {what}", flush=True)
            failures = scan.failures(session.run(code))
            if failures:
                print("\n".join(failures))
                return 1
        print("compiling for type checks", flush=True)
        session.run(UNNAMEABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
