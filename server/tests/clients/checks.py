"""One printed line per check; the exit status says whether all of them held."""

import sys


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, name, held, seen=""):
        """Prints how a check ended, with what was seen if it failed."""
        print(f"ok    {name}" if held else f"FAIL  {name}: {str(seen)[:300]}", flush=True)
        self.failed += not held

    def finish(self):
        sys.exit(f"{self.failed} checks failed" if self.failed else 0)
