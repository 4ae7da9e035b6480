"""Move the wall clock of the Watcher only, by a small preloaded library.

The library (watcher_clock.c) adds an offset to the wall clock of the Watcher and its children.
Their monotonic clock and file times stay true. It is compiled for each run that needs it.
libfaketime would need no compiler, but version 0.9.10 of today's distributions makes every
`time.sleep` of Python 3.11 fail if the monotonic clock stays true (its issue 426). A program that
does not get the time from the C library is not affected.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from chaos.base.errors import EnvironmentProblem

NO_COMPILER = (
    "moving the Watcher's clock needs a C compiler (cc), and there is none; "
    "on Debian or Ubuntu, as root: apt-get install gcc libc6-dev"
)
_SOURCE = Path(__file__).with_name("watcher_clock.c")
_BUILD_LIMIT_S = 60.0
_OFFSET_BYTES = 8
_NS_PER_S = 1_000_000_000


def compiler() -> str | None:
    """A C compiler, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


class WatcherClock:
    """The library and the offset in `folder`, which the Watcher must be able to read."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "libwatcherclock.so"
        self._offset = folder / "offset_ns"

    @classmethod
    def build(cls, folder: Path) -> Self:
        """Compile the library into `folder`, offset 0. Raises `EnvironmentProblem`."""
        command = compiler()
        if command is None:
            raise EnvironmentProblem(NO_COMPILER)
        folder.mkdir(parents=True, exist_ok=True)
        clock = cls(folder)
        argv = [command, "-shared", "-fPIC", "-O2", "-o", str(clock._library), str(_SOURCE), "-ldl"]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=_BUILD_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentProblem(f"{command} failed: {error}", place=str(_SOURCE)) from error
        if done.returncode != 0:
            raise EnvironmentProblem(
                f"{command} failed: {done.stderr.strip()[-400:]}",
                place=str(_SOURCE),
                next_step="install the headers of the C library (Debian: libc6-dev)",
            )
        clock.set_offset(0.0)
        return clock

    def environment(self, before: Mapping[str, str]) -> dict[str, str]:
        """The Watcher's environment, made from `before`."""
        preloaded = [before["LD_PRELOAD"]] if before.get("LD_PRELOAD") else []
        return {
            **before,
            "LD_PRELOAD": ":".join([*preloaded, str(self._library)]),
            "CHAOS_CLOCK_OFFSET_FILE": str(self._offset),
        }

    def set_offset(self, offset_s: float) -> None:
        """Set the clock `offset_s` ahead of the true time (negative: behind).

        Written in place by one write of 8 bytes, because the Watcher has this file mapped.
        """
        content = round(offset_s * _NS_PER_S).to_bytes(_OFFSET_BYTES, sys.byteorder, signed=True)
        self._offset.touch()
        with self._offset.open("r+b", buffering=0) as stream:
            stream.write(content)
