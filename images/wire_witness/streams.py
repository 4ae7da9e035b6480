"""Puts the bytes of TCP connections together again from captured frames. Knows nothing of HTTP.

On one machine's own interface frames arrive in order; those that do not (sent again after a pause
of the receiver) are sorted in.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_ETHERNET, _IPV6_HEADER = 14, 40
_WAITING_MAX = 256  # segments that came too early
_HALF = 1 << 31
_MODULUS = 1 << 32


class End(NamedTuple):
    """One end of a connection."""

    address: str
    port: int


@dataclass(frozen=True)
class Segment:
    """One TCP segment; `time_s` since 1970."""

    time_s: float
    source: End
    target: End
    sequence: int
    flags: int
    data: bytes

    @property
    def opens(self) -> bool:
        """SYN without ACK: a client wants to connect."""
        return self.flags & (_SYN | _ACK) == _SYN

    @property
    def accepts(self) -> bool:
        """SYN with ACK: the kernel of the server has taken the connection."""
        return self.flags & (_SYN | _ACK) == _SYN | _ACK

    @property
    def resets(self) -> bool:
        """RST."""
        return bool(self.flags & _RST)

    @property
    def ends(self) -> bool:
        """FIN: nothing more comes from this side."""
        return bool(self.flags & _FIN)


def segment_of(time_ns: int, frame: bytes) -> Segment | None:
    """The TCP segment in an Ethernet frame; None if it is cut short or something else."""
    try:
        kind = int.from_bytes(frame[12:14], "big")
        if kind == 0x0800:
            head = (frame[_ETHERNET] & 15) * 4
            whole = _ETHERNET + int.from_bytes(frame[16:18], "big")
            addresses = frame[26:30], frame[30:34]
        elif kind == 0x86DD:
            head = _IPV6_HEADER
            whole = _ETHERNET + head + int.from_bytes(frame[18:20], "big")
            addresses = frame[22:38], frame[38:54]
        else:
            return None
        at = _ETHERNET + head
        from_port, to_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", frame, at)
        source, target = (str(ipaddress.ip_address(raw)) for raw in addresses)
    except (struct.error, IndexError, ValueError):
        return None
    # A frame that the kernel would have cut for a network card does not say how long it is.
    end = whole if whole > at else len(frame)
    data = frame[at + (offset >> 4) * 4 : end]
    return Segment(
        time_ns / 1e9, End(source, from_port), End(target, to_port), sequence, flags, data
    )


@dataclass
class Stream:
    """The bytes of one direction, in order. `broken`: some are missing for good."""

    broken: bool = False
    _next: int | None = None
    _waiting: dict[int, bytes] = field(default_factory=dict)

    def take(self, segment: Segment) -> bytes:
        """Take a segment; returns the bytes that are in order now."""
        sequence = segment.sequence
        if segment.flags & _SYN:
            self._next = (sequence + 1) % _MODULUS
            return b""
        if self._next is None or not segment.data:
            return b""
        self._waiting[sequence] = max(self._waiting.get(sequence, b""), segment.data, key=len)
        taken = bytearray()
        while (early := self._due()) is not None:
            data = self._waiting.pop(early)
            again = (self._next - early) % _MODULUS  # bytes that had come before
            fresh = data[again:]
            taken += fresh
            self._next = (self._next + len(fresh)) % _MODULUS
        self.broken = self.broken or len(self._waiting) > _WAITING_MAX
        return bytes(taken)

    def _due(self) -> int | None:
        """A waiting segment that begins no later than what is wanted next."""
        assert self._next is not None
        due = (start for start in self._waiting if (self._next - start) % _MODULUS < _HALF)
        return next(due, None)
