"""Where everything is."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
TEST_NOTEBOOKS = ROOT / "tests" / "notebooks"
# Programs that only seem to do what a check needs.
STAND_INS = ROOT / "lab" / "stand_ins"

# Fetched when a notebook first wants it, and never part of the project.
PASSENGERS = ROOT / "data" / "titanic3.csv"

LAB = ROOT / ".lab"
LOCK = LAB / "lock"
LOGS = LAB / "logs"
RESULTS = LAB / "results"

BIN = LAB / "bin"
KERNEL = BIN / "candle-explain-kernel"
VENV = LAB / "python"
PYTHON = VENV / "bin" / "python"
JUPYTER_DATA = LAB / "share" / "jupyter"
STD = LAB / "std"

KERNEL_SOURCES = ROOT / "kernel"
# Kept, so that a change compiles only what has changed; the checks use it too.
KERNEL_BUILD = LAB / "build" / "kernel"

TEMPLATE = LAB / "template"
TEMPLATE_LOCK = LAB / "template.lock"
KERNELS = LAB / "kernels"


def shown(path: Path) -> str:
    """A path as a person in the project's folder would type it."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
