"""Starts the small programs that lie beside the kinds. Knows none of them."""

import subprocess
import sys
from pathlib import Path

_ISOLATED = ("-I", "-S")  # without site packages: quick to start, and nothing of the user's


def argv_of(program: Path, *words: object, options: tuple[str, ...] = _ISOLATED) -> list[str]:
    """The command line of a program."""
    return [sys.executable, *options, str(program), *map(str, words)]


def start(program: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, its output going nowhere."""
    return subprocess.Popen(
        argv_of(program, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def answer_of(
    program: Path, *words: object, limit_s: float, options: tuple[str, ...] = _ISOLATED
) -> str:
    """What it printed until its end; why there is nothing, when there is nothing."""
    argv = argv_of(program, *words, options=options)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {limit_s:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip()[-200:]}"
    return done.stdout.strip()
