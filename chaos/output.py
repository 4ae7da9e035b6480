"""Standard output and standard error whose reader may have gone: `chaos run soak_c | head`.

That nobody reads is the reader's decision. It must neither end what goes on nor change an exit
code, which is the answer of a run. Knows nothing of what is said.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TextIO

_GONE = (errno.EPIPE, errno.EIO)  # a pipe without a reader, a terminal that was closed


def say(tell: Callable[[], object]) -> None:
    """Call `tell`, which prints; a reader that has gone silences the output, and is no error."""
    try:
        tell()
    except SystemExit:  # how rich ends a program whose reader has gone
        flush()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        flush()


def flush() -> None:
    """Write out what is buffered; a stream that cannot be written any more goes nowhere.

    For the end of a program, too: the interpreter would try again, and complain.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # None where the program was started with it closed
                stream.flush()
        except (OSError, ValueError):
            _silence(stream)


def _silence(stream: TextIO) -> None:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # it is none of the system's, or closed already
        return
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
