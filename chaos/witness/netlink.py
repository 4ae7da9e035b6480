"""Read the state of all TCP sockets of this network namespace with one netlink request.

Reading /proc/net/tcp costs twenty-five times as much: the kernel prints its whole table, once more
for IPv6. Uses the older message type of `sock_diag(7)`, which covers IPv4 and IPv6 at once. Knows
nothing of processes.
"""

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
_REQUEST = struct.Struct("=4B48sII")  # struct inet_diag_req
_LENGTH_TYPE = struct.Struct("=IH")
_INODE_AT = 68  # struct inet_diag_msg: its last field
_STATE_AT = 1
_ANSWER_BYTES = 1 << 16
_PARTS_MAX = 1000


def connections(states: tuple[int, ...]) -> dict[int, int]:
    """Map the inode of each TCP socket in one of `states` to its state.

    States are the kernel's numbers (include/net/tcp_states.h). Raises `OSError` if the kernel does
    not support the request.
    """
    state_mask = sum(1 << state for state in states)
    body = _REQUEST.pack(0, 0, 0, 0, bytes(48), state_mask, 0)
    request = _HEADER.pack(_HEADER.size + len(body), _GET_TCP, _REQUEST_DUMP, 1, 0) + body
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    state_of: dict[int, int] = {}
    # A new socket for each request, so that nothing of an earlier answer is left in it.
    with socket.socket(socket.AF_NETLINK, kind, _FAMILY) as link:
        link.send(request)
        for _ in range(_PARTS_MAX):
            if _parse(link.recv(_ANSWER_BYTES), state_of):
                return state_of
    raise OSError(0, "the kernel's table of connections has no end")


def _parse(answer: bytes, state_of: dict[int, int]) -> bool:
    """Add the sockets of one part of the answer to `state_of`. True if it was the last part."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, message_type = _LENGTH_TYPE.unpack_from(answer, at)
        if message_type == _DONE:
            return True
        begin = at + _HEADER.size
        if message_type == _ERROR:
            number = -int.from_bytes(answer[begin : begin + 4], _ORDER, signed=True)
            raise OSError(number, os.strerror(number))
        inode = int.from_bytes(answer[begin + _INODE_AT : begin + _INODE_AT + 4], _ORDER)
        state_of[inode] = answer[begin + _STATE_AT]
        at += (max(length, _HEADER.size) + 3) & ~3
    return False
