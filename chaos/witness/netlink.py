"""States of all TCP connections of our own network namespace, asked of the kernel in one question.

The text in /proc/net/tcp costs twenty-five times as much: the kernel prints its whole table, and
once more for IPv6. Linux, `sock_diag(7)`: the older message type answers for both families at
once. Knows nothing of processes.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

_ORDER = sys.byteorder
_FAMILY = 4  # NETLINK_SOCK_DIAG (netlink(7): NETLINK_INET_DIAG)
_GET_TCP = 18  # TCPDIAG_GETSOCK of linux/inet_diag.h
_REQUEST_DUMP = 0x001 | 0x300  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_QUESTION = struct.Struct("=4B48sII")  # struct inet_diag_req
_LENGTH_TYPE = struct.Struct("=IH")
_INODE_AT = 68  # struct inet_diag_msg: its last field
_STATE_AT = 1
_ANSWER_BYTES = 1 << 16
_PARTS_MAX = 1000


def connections(states: tuple[int, ...]) -> dict[int, int]:
    """Inode of each TCP socket in one of `states` (include/net/tcp_states.h) -> its state.

    Raises `OSError` where the kernel does not answer such questions.
    """
    wanted = sum(1 << state for state in states)
    body = _QUESTION.pack(0, 0, 0, 0, bytes(48), wanted, 0)
    question = _HEADER.pack(_HEADER.size + len(body), _GET_TCP, _REQUEST_DUMP, 1, 0) + body
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    found: dict[int, int] = {}
    # A link for each question: nothing of an earlier answer can be left in it.
    with socket.socket(socket.AF_NETLINK, kind, _FAMILY) as link:
        link.send(question)
        for _ in range(_PARTS_MAX):
            if _take(link.recv(_ANSWER_BYTES), found):
                return found
    raise OSError(0, "the kernel's table of connections has no end")


def _take(answer: bytes, found: dict[int, int]) -> bool:
    """Adds the sockets of one part of the answer; True at its end."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, what = _LENGTH_TYPE.unpack_from(answer, at)
        if what == _DONE:
            return True
        begin = at + _HEADER.size
        if what == _ERROR:
            number = -int.from_bytes(answer[begin : begin + 4], _ORDER, signed=True)
            raise OSError(number, os.strerror(number))
        inode = int.from_bytes(answer[begin + _INODE_AT : begin + _INODE_AT + 4], _ORDER)
        found[inode] = answer[begin + _STATE_AT]
        at += (max(length, _HEADER.size) + 3) & ~3
    return False
