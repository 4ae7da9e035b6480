"""Standard output and standard error whose reader may have gone: `chaos run soak_c | head`.

A closed reader (EPIPE) neither ends the program nor changes its exit code, which is the answer of
a run. A full device does not end it half-way either: the loss is reported once, at the end, and
the exit code is not PASS or FAIL then. Knows nothing of what is printed.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from chaos.base.exitcode import ExitCode

if TYPE_CHECKING:
    from typing_extensions import Buffer

_GONE = (errno.EPIPE, errno.EIO)  # a pipe without a reader, a terminal that was closed
_STDOUT = 1
_lost: dict[int, OSError] = {}  # descriptor -> why nothing more reaches it


class _Lenient(io.FileIO):
    """A standard stream that notes an error of the device instead of raising it.

    Raised, the error would surface at any print, and rich turns it into exit code 1.
    """

    def write(self, data: Buffer, /) -> int:
        """All of `data` counts as written, also after an error."""
        try:
            return super().write(data)
        except OSError as error:
            _lost.setdefault(self.fileno(), error)
            _to_nowhere(self.fileno())
            return memoryview(data).nbytes


def adopt() -> None:
    """Make the standard streams of this program lenient; once, before anything is printed.

    Characters that the encoding lacks are replaced. A stream that was closed when the program
    started goes nowhere, and its descriptor is taken, so that no file of ours gets its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _to_nowhere(number)
    sys.stdout = _lenient(sys.stdout, 1)
    sys.stderr = _lenient(sys.stderr, 2)


def _lenient(stream: TextIO | None, number: int) -> TextIO:
    by_line = number != _STDOUT
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        by_line = by_line or stream.line_buffering or stream.write_through  # PYTHONUNBUFFERED
    return io.TextIOWrapper(
        io.BufferedWriter(_Lenient(number, "wb", closefd=False)),
        encoding="utf-8" if stream is None else stream.encoding,
        errors="replace" if number == _STDOUT else "backslashreplace",
        line_buffering=by_line,
    )


def unread() -> bool:
    """True if standard output has no reader, or its device failed."""
    return _STDOUT in _lost


def failed() -> OSError | None:
    """The error of standard output's device; a closed reader (EPIPE) does not count."""
    flush()
    error = _lost.get(_STDOUT)
    return None if error is None or error.errno in _GONE else error


def settled(code: int) -> int:
    """`code`, or INVALID instead of PASS or FAIL when the answer could not be written.

    That is reported on stderr.
    """
    error = failed()
    if error is not None:
        text = f"cannot write to standard output: {error.strerror}"
        print(
            f"chaos: error: {text}\n  next: free some space there, or print somewhere else",
            file=sys.stderr,
        )
        if code in (ExitCode.PASS, ExitCode.FAIL):
            code = ExitCode.INVALID
        flush()
    return int(code)


def say(tell: Callable[[], object]) -> None:
    """Call `tell`, which prints. A closed reader silences the output; it is no error."""
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
    _to_nowhere(descriptor)


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor)  # to be inherited by what is started
    if nowhere != descriptor:
        os.close(nowhere)
