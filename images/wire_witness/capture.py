"""Captures what goes over TCP ports of one network interface: packet(7), and a pcap file of it.

Passive: the kernel copies each frame, and nothing waits for us. Needs CAP_NET_RAW in the network
namespace. Knows no protocol above the port numbers.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

_ALL_PROTOCOLS = 3  # ETH_P_ALL: with any other, frames that leave are not shown
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 26, 35, 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_BUFFER_BYTES = 16 << 20
_FRAME_BYTES_MAX = 1 << 17
_TIMESPEC = struct.Struct("@ll")
_FRAMES_AT_ONCE = 2000

# The kernel's classic BPF machine: load a half word or a byte, load the length of the IPv4 header,
# jump if equal, return.
_LOAD_HALF, _LOAD_BYTE, _LOAD_HEADER, _LOAD_AFTER = 0x28, 0x30, 0xB1, 0x48
_JUMP_EQUAL, _RETURN = 0x15, 0x06
_PACKET_TYPE_AT = 0xFFFFF000 + 4
_OUTGOING = 4  # a loopback interface shows each frame twice, leaving and arriving
_IPV4, _IPV6, _TCP = 0x0800, 0x86DD, 6


class Capture:
    """Frames from or to `ports`. Raises `OSError` where capturing is not allowed."""

    def __init__(self, ports: Sequence[int], interface: str = "lo") -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._enlarge()
            code = filter_of(ports)
            kept = ctypes.create_string_buffer(code)
            program = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(kept))
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            self._socket.bind((interface, _ALL_PROTOCOLS))
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self._dropped = 0

    def _enlarge(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except OSError:  # of the host's administrator only
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)

    def fileno(self) -> int:
        """For select(2)."""
        return self._socket.fileno()

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """What has come, a bounded number: (nanoseconds since 1970, Ethernet frame)."""
        for _ in range(_FRAMES_AT_ONCE):
            try:
                frame, ancillary, _, _ = self._socket.recvmsg(_FRAME_BYTES_MAX, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2][: _TIMESPEC.size])
            yield seconds * 1_000_000_000 + nanoseconds, frame

    def dropped(self) -> int:
        """How many frames were lost so far because we were too slow."""
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._dropped += struct.unpack("@II", raw)[1]  # the kernel sets it back
        return self._dropped

    def close(self) -> None:
        """End the capture."""
        self._socket.close()


def filter_of(ports: Sequence[int]) -> bytes:
    """The program for the kernel: outgoing TCP over IPv4 or IPv6, from or to one of `ports`."""
    code: list[tuple[int, str, str, int]] = []  # instruction, where to go if true and if false
    labels: dict[str, int] = {}

    def compare(load: int, at: int, equal: Sequence[tuple[int, str]], otherwise: str = "") -> None:
        code.append((load, "", "", at))
        for value, label in equal[:-1]:
            code.append((_JUMP_EQUAL, label, "", value))
        code.append((_JUMP_EQUAL, equal[-1][1], otherwise, equal[-1][0]))

    accept = [(port, "accept") for port in ports]
    compare(_LOAD_BYTE, _PACKET_TYPE_AT, [(_OUTGOING, "")], "reject")
    compare(_LOAD_HALF, 12, [(_IPV4, "four"), (_IPV6, "six")], "reject")
    labels["four"] = len(code)
    compare(_LOAD_BYTE, 23, [(_TCP, "")], "reject")
    code.append((_LOAD_HEADER, "", "", 14))
    compare(_LOAD_AFTER, 14, accept)
    compare(_LOAD_AFTER, 16, accept, "reject")
    labels["six"] = len(code)
    compare(_LOAD_BYTE, 20, [(_TCP, "")], "reject")
    compare(_LOAD_HALF, 54, accept)
    compare(_LOAD_HALF, 56, accept, "reject")
    labels["reject"] = len(code)
    code.append((_RETURN, "", "", 0))
    labels["accept"] = len(code)
    code.append((_RETURN, "", "", _FRAME_BYTES_MAX))

    def steps(here: int, label: str) -> int:
        return labels[label] - here - 1 if label else 0

    return b"".join(
        struct.pack("@HBBI", instruction, steps(here, true), steps(here, false), value)
        for here, (instruction, true, false, value) in enumerate(code)
    )


class PcapFile:
    """What was captured, for Wireshark: PATH, and older parts in PATH.1, PATH.2, …

    The format is libpcap's with nanoseconds (pcap-savefile(5)). At most `parts` files of
    `part_bytes` are kept.
    """

    _HEAD = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _FRAME_BYTES_MAX, 1)

    def __init__(self, path: Path, part_bytes: int = 32 << 20, parts: int = 4) -> None:
        self._path, self._part_bytes, self._parts = path, part_bytes, parts
        self._stream: BinaryIO = self._begin()

    def _begin(self) -> BinaryIO:
        stream = self._path.open("wb")
        self._bytes = stream.write(self._HEAD)
        return stream

    def write(self, time_ns: int, frame: bytes) -> None:
        """Append a frame."""
        if self._bytes + len(frame) + 16 > self._part_bytes:
            self._turn()
        seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
        head = struct.pack("=IIII", seconds, nanoseconds, len(frame), len(frame))
        self._bytes += self._stream.write(head + frame)

    def _turn(self) -> None:
        self._stream.close()
        for number in range(self._parts - 1, 0, -1):
            older = self._path if number == 1 else self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._stream = self._begin()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def flush(self) -> None:
        """Write out what is kept back."""
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
