"""Which processes the watched ones must not reach: whoever watches them, and what started them.

A daemon that ends everything it can see would end its own trial. Its call fails as if the process
were another user's (EPERM), and what it tried is noted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable


class Guard:
    """`protected`: process ids; none: nothing is refused."""

    def __init__(self, protected: Iterable[int] = ()) -> None:
        self._protected = frozenset(protected)

    def refuses(self, target: int) -> bool:
        """Whether a signal to `target`, as kill(2) has it, would reach a protected process."""
        if not self._protected:
            return False
        if target < -1:
            return any(_group(pid) == -target for pid in self._protected)
        return target == -1 or target in self._protected


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0
