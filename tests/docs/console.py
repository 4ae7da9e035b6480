"""Blocks of commands in the documents, and whether their output is what the commands print.

A block begins with ```console. A line `$ COMMAND` is run by bash; its output stands below. A line
`...` stands for any lines. Numbers, names of runs and the widths of columns may differ.

Commands that start a run are not run again. Where a document shows the one line of --quiet, it is
compared with what is judged of a recorded run of that command. Where it shows more, each line must
begin as a line of the judgement of a recorded run does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"(?ms)^```console\n(.*?)^```$")
_RUN_NAME = re.compile(r"\b\d{8}-\d{6}-s\d+-[0-9a-f]{4}\b")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_STARTS = re.compile(r"^chaos (run|gate|canary|replay)\b(?!.*--dry-run)")
ANY = "..."
PASSED = "pass: all 0 findings pass, 0 skipped | runs/soak_b/RUN"


@dataclass(frozen=True)
class Shown:
    """A command of a document, and the output that the document shows."""

    line: int
    command: str
    output: list[str]

    @property
    def starts_a_run(self) -> bool:
        """Whether it takes a minute or more."""
        return _STARTS.match(self.command) is not None


def shown(text: str) -> Iterator[Shown]:
    """Every command of a document, in order."""
    for block in _BLOCK.finditer(text):
        first = text[: block.start()].count("\n") + 2
        lines = block[1].splitlines()
        starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
        assert starts[:1] == [0], f"line {first}: a block begins with a command"
        for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            yield Shown(first + begin, lines[begin][2:], lines[begin + 1 : end])


def masked(line: str) -> str:
    """`line` without what differs from run to run and from terminal to terminal."""
    line = re.sub(r"\S*/(?=runs/soak)", "", _RUN_NAME.sub("RUN", line))
    return re.sub(r"-{2,}", "--", re.sub(r"\s+", " ", _NUMBER.sub("0", line))).strip()


def agrees(expected: list[str], printed: list[str]) -> bool:
    """Whether `printed` is what the document shows."""
    parts = [
        "(?:[^\n]*\n)*" if line == ANY else re.escape(masked(line)) + "\n" for line in expected
    ]
    text = "".join(f"{masked(line)}\n" for line in printed)
    return re.fullmatch("".join(parts), text) is not None


def form(line: str) -> str:
    """How a line of a verdict begins: with a sign and a word, with a label, or with a file."""
    first, *rest = masked(line).split()
    return first if len(first) > 1 or not rest else f"{first} {rest[0]}"


def run(command: str, folder: Path) -> list[str]:
    """The output of `command` in `folder`, where `chaos` is that of this checkout."""
    shim = folder / "bin" / "chaos"
    if not shim.is_file():
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m chaos "$@"\n')
        shim.chmod(0o755)
    env = {key: value for key, value in os.environ.items() if not key.startswith("CHAOS_R")}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={
            **env,
            "PATH": f"{shim.parent}:{env['PATH']}",
            "PYTHONPATH": str(REPO),
            "COLUMNS": "80",
            "NO_COLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.splitlines()
