"""Finds out if a process has a file open for writing. Knows nothing of requests.

The kernel grants a read lease only on a file that no process has open for writing. So this asks for
one, and gives it back at once. Source: fcntl(2), "Leases".
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path


def has_writer(path: Path) -> bool:
    """True if a process has the file open for writing; False if not, or if it is unknown.

    It is known for our own files (as root, for all) on local file systems.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return False
    try:
        # A process that opens the file while we hold the lease makes the kernel signal us. The
        # default signal would end this process; SIGURG is ignored.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(handle)
    return False
