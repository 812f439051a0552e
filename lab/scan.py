"""Whether a cell did what it should, judged by its outputs alone.

The kernel answers a compile error, a panic and an error passed up with `?` with an `error` output. Only a panic in a
thread that the cell has started ends no cell: its text on stderr counts as a failure too.
"""

import re
from collections.abc import Iterable, Mapping

EXPECT = "expect"
EXPECT_ERROR = "expect_error"

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PANIC = "panicked at"
# `2 | let wrong: String = half;`, as failures quote the cell.
QUOTED = re.compile(r"^ *(\d+) \| ", re.MULTILINE)


def text(output: Mapping) -> str:
    """All that an output says, in plain text."""
    kind = output["output_type"]
    if kind == "stream":
        said = output["text"]
    elif kind == "error":
        said = "\n".join([output["evalue"], *output["traceback"]])
    else:
        said = "\n".join(_joined(value) for name, value in output["data"].items() if name.startswith("text/"))
    return ANSI.sub("", _joined(said))


def failures(outputs: Iterable[Mapping]) -> list[str]:
    """What went wrong in a cell."""
    found = []
    for output in outputs:
        said = text(output)
        if output["output_type"] == "error" or PANIC in said:
            found.append(said.strip())
    return found


def problems(outputs: Iterable[Mapping], expectations: Mapping) -> list[str]:
    """How the outputs of a cell differ from what its metadata expects: with none of its own, no failure."""
    outputs = list(outputs)
    failed = failures(outputs)
    found = []
    if EXPECT_ERROR in expectations:
        wanted = expectations[EXPECT_ERROR]
        if not failed:
            found.append(f"expected to fail with {wanted!r}, but did not fail")
        elif not any(wanted in failure for failure in failed):
            found.append("\n".join([f"expected to fail with {wanted!r}, but failed with:", *failed]))
    else:
        found += failed
    if EXPECT in expectations:
        wanted = expectations[EXPECT]
        said = "\n".join(map(text, outputs)).strip()
        if wanted not in said:
            found.append(f"expected {wanted!r} in its output, which is:\n{said or '(nothing)'}")
    return found


def line(failure: str) -> int | None:
    """The line of the cell that a failure points at."""
    quoted = QUOTED.search(failure)
    return int(quoted[1]) if quoted else None


def _joined(value: str | list[str] | object) -> str:
    """Notebook files may hold a text as a list of its lines."""
    return "".join(value) if isinstance(value, list) else str(value)
