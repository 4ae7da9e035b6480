"""Start, end and ask the small programs that lie beside the kinds. Knows none of them."""

import contextlib
import subprocess
import sys
from pathlib import Path

_ISOLATED = ("-I", "-S")  # without site packages: starts fast, and ignores the user's settings
_END_LIMIT_S = 5.0


def argv_of(program: Path, *words: object, options: tuple[str, ...] = _ISOLATED) -> list[str]:
    """The command line of a program."""
    return [sys.executable, *options, str(program), *map(str, words)]


def start(program: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, without input and output."""
    return subprocess.Popen(
        argv_of(program, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, then wait 5 s at most. Idempotent."""
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_LIMIT_S)


def answer_of(
    program: Path, *words: object, limit_s: float, options: tuple[str, ...] = _ISOLATED
) -> str:
    """What it printed until it ended; instead, why there is no output."""
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
