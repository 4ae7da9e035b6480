"""Runs one of our small probe programs to its end, or to a limit. Knows none of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_HERE = Path(__file__).parent


def argv_of(name: str, words: Sequence[object]) -> list[str]:
    """The command line of the program `name` beside this file; it sees no site packages."""
    return [sys.executable, "-I", "-S", str(_HERE / name), *map(str, words)]


def answer_of(name: str, words: Sequence[object], limit_s: float) -> str:
    """What the program printed; why there is nothing, when there is nothing."""
    try:
        done = subprocess.run(
            argv_of(name, words), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {limit_s:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip()[-200:]}"
    return done.stdout.strip()
