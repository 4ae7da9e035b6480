"""What the Watcher printed and logged from a moment on, and whether that names an error of a call.

Knows the files that a daemon writes for people, and no fault.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from chaos.base.files import file_from, matching
from chaos.stack.base import Stack

_READ_BYTES_MAX = 1 << 16  # of each file
_SHOWN_CHARS = 200
# How runtimes and libraries call an error that do not use the words of strerror(3). Some, such as
# SQLite, have one word for whatever fails.
_ANY_ERROR = "i/o error"
_OTHER_WORDS = {
    "ENOSPC": ("disk is full", "disk full", "out of space"),
    "EDQUOT": ("quota",),
    "EROFS": ("read-only", "readonly"),
    "EINTR": ("interrupted",),
}


class LastWords:
    """The output of the Watcher and its log files, from the moment at which this is made."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._sizes: dict[Path, int] = {}
        for path in self._files():
            with contextlib.suppress(OSError):
                self._sizes[path] = path.stat().st_size

    def lines(self) -> list[str]:
        """What was written since, file by file, without empty lines."""
        found: list[str] = []
        for path in self._files():
            content = file_from(path, self._sizes.get(path, 0), _READ_BYTES_MAX)
            found += filter(None, map(str.strip, content.decode(errors="replace").splitlines()))
        return found

    def _files(self) -> list[Path]:
        stack = self._stack
        logs = sorted(matching(stack.workspace, *stack.target.paths.logs))
        return [stack.service("watcher").log, *logs]


def naming(lines: Sequence[str], error: str, paths: Iterable[str]) -> str:
    """The first line that names the error (`EIO`, its text or its number), else the first that
    names one of the paths of the call that failed; "" if none does. A path that is a plain word,
    such as `out`, names nothing.
    """
    number = int(getattr(errno, error))
    texts = [os.strerror(number), _ANY_ERROR, *_OTHER_WORDS.get(error, ())]
    of_error = [error, rf"errno\W{{0,3}}{number}", *map(re.escape, texts)]
    of_paths = [re.escape(path) for path in paths if set(path) & set("/.")]
    for words in (of_error, of_paths):
        pattern = re.compile(rf"(?<![\w/.])(?:{'|'.join(words)})(?![\w/])", re.IGNORECASE)
        found = next((line for line in lines if words and pattern.search(line)), "")
        if found:
            return found[:_SHOWN_CHARS]
    return ""
