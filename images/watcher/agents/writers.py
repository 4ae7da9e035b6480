"""Whether somebody is still writing a file. Knows nothing of requests.

The kernel grants a read lease only on a file that nobody has open for writing, so that asking for
one (and giving it back at once) tells. Source: fcntl(2), "Leases".
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path


def has_writer(path: Path) -> bool:
    """Whether a process has the file open for writing; False where that cannot be told.

    It can be told on local file systems, of files of our own (or as root).
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return False
    try:
        # Somebody who opens it in this very moment makes the kernel signal us: with one that
        # does nothing, for the default one would end the process.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(handle)
    return False
