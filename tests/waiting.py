"""The one way in which tests wait: for evidence, up to a limit.

Standard library only: it is also imported by programs that tests run in a sandbox or a container.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 60.0  # for what takes milliseconds on a quiet machine
PAUSE_S = 0.01

_T = TypeVar("_T")


def wait_for(
    what: str,
    look: Callable[[], _T],
    limit_s: float = LIMIT_S,
    *,
    pause_s: float = PAUSE_S,
    not_yet: type[Exception] | tuple[type[Exception], ...] = (),
    seen: Callable[[], object] | None = None,
) -> _T:
    """Return the first true value of `look`; an exception of `not_yet` counts as a false one.

    At the limit the test fails and names `what` it waited for, the last value of `look`, and what
    `seen` says about the state of things.
    """
    deadline_s = time.monotonic() + limit_s
    while True:
        last: object
        try:
            if found := look():
                return found
            last = found
        except not_yet as error:
            last = error
        if time.monotonic() >= deadline_s:
            details = "" if seen is None else f"\n{seen()}"
            raise AssertionError(
                f"waited {limit_s:g} s for: {what}; the last value was {last!r}{details}"
            )
        time.sleep(pause_s)
