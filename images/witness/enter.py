"""Starts a program that is watched: `enter.py SOCKET NAME -- PROGRAM [ARGUMENT...]`.

Puts itself under the filter, hands the listener to the supervisor that waits at the Unix socket
SOCKET, proves with a harmless call that it is answered, and becomes PROGRAM. NAME says in the
record whose process it is. Exit code 125 and one line on stderr when it cannot be watched: nothing
is ever started half-watched. As of a shell, 127 when there is no such program, and 126 when it
cannot be executed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Sequence

_WAIT_S = 10.0
_NOT_WATCHED, _NOT_EXECUTED, _NOT_FOUND = 125, 126, 127


def main(argv: Sequence[str]) -> int:
    """Become the program, watched. Returns (an exit code) only when that failed."""
    if len(argv) < 4 or argv[2] != "--":
        print(__doc__, file=sys.stderr)
        return 2
    path, name, _, *command = argv
    try:
        enter(path, name)
    except OSError as error:
        print(f"{command[0]} cannot be watched: {error}", file=sys.stderr)
        return _NOT_WATCHED
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error}", file=sys.stderr)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTED


def enter(path: str, name: str) -> None:
    """Put this process under the filter, watched by the supervisor at `path`."""
    from calls import watched
    from seccomp import Unavailable, install, program

    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(_WAIT_S)
    link.connect(path)
    listener = install(program(watched()))
    # Ours must be closed: it would keep calls waiting for ever after the supervisor's death.
    socket.send_fds(link, [f"{os.getpid()} {name}".encode()], [listener])
    os.close(listener)
    if link.recv(16) != b"watched":
        raise Unavailable(errno.ECONNABORTED, "the supervisor does not take it")
    link.close()
    # Some hosts let a filter be loaded and forbid to receive its notices.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fsync(-1)
    if ctypes.get_errno() != errno.EBADF:
        raise Unavailable(ctypes.get_errno(), "calls are not answered by the supervisor")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
