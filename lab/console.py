"""Saying what is done while it is done: whole lines, with the time since the start."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.place import LOGS, ROOT, shown
from lab.problem import Problem

START = time.monotonic()
BEAT = 15.0
TAIL = 60


def say(text: str) -> None:
    print(f"[{time.monotonic() - START:5.0f} s] {text}", flush=True)


def last_line(log: Path) -> str:
    """What a long command wrote last: the best sign of how far it is."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip()[:100] for line in reversed(lines) if line.strip()), "starting")


def run(
    caption: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    hint: str = "",
) -> None:
    """Run a command with its output in a log, and a line now and then; the log's end is shown if it fails."""
    LOGS.mkdir(parents=True, exist_ok=True)
    words = "".join(c if c.isalnum() else " " for c in caption).split()
    log = LOGS / ("-".join(words[:6]) + ".log")
    say(caption)
    start = time.monotonic()
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            raise Problem(f"{command[0]} was not found. {hint}".strip()) from None
        while True:
            try:
                code = process.wait(BEAT)
                break
            except subprocess.TimeoutExpired:
                say(f"  {time.monotonic() - start:.0f} s: {last_line(log)}")
            except KeyboardInterrupt:
                process.wait()
                raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
        raise Problem(f"{tail}\n\n{caption}: failed with code {code} (all of it in {shown(log)}). {hint}".strip())
    say(f"  done in {time.monotonic() - start:.1f} s")
