"""One HTTP GET over a raw socket: each piece of the answer, when it came, and how it ended.

A client library raises one exception for a hang, a close, a reset and a refusal, which faults must
distinguish. Each exchange opens its own connection, asks the server to close it, and ends within
its limit. `http_get` reads only as far as the status line.
"""

import re
import socket
import statistics
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from chaos.stack.base import Endpoint
from chaos.stack.http_client import HEADERS

# answered: the whole answer, then the end. cut: the end after a part of it. closed: the end without
# a byte. timeout: no end within the limit.
Ending = Literal["answered", "cut", "closed", "reset", "timeout", "refused"]

_ANSWER_BYTES_MAX = 1 << 20
_PIECES_MAX = 10_000
_FAULTY = 500
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """The result of one read of the socket; `at_ms` since the start of the exchange."""

    at_ms: float
    size_bytes: int


@dataclass(frozen=True)
class Exchange:
    """The outcome of one exchange. `status`: None if no status line came."""

    outcome: Ending
    status: int | None
    pieces: tuple[Piece, ...]
    took_ms: float

    @property
    def ok(self) -> bool:
        """True for a whole answer below 500: a server without `/health` says 404 there."""
        return self.outcome == "answered" and self.status is not None and self.status < _FAULTY

    @cached_property
    def size_bytes(self) -> int:
        """Size of the answer, the head included."""
        return sum(piece.size_bytes for piece in self.pieces)

    @property
    def last_byte_ms(self) -> float:
        """When the last piece came; 0 without any."""
        return self.pieces[-1].at_ms if self.pieces else 0.0

    @property
    def close_ms(self) -> float:
        """From the last piece to the end of the connection (or to our limit)."""
        return self.took_ms - self.last_byte_ms

    @property
    def rate_kbyte_s(self) -> float:
        """1000 bytes per second, from the start to the last piece."""
        return self.size_bytes / self.last_byte_ms if self.last_byte_ms else 0.0

    @property
    def median_gap_ms(self) -> float:
        """Median time between two pieces; 0 with fewer than two."""
        moments = [piece.at_ms for piece in self.pieces]
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        return statistics.median(gaps) if gaps else 0.0

    @property
    def median_piece_bytes(self) -> float:
        """Median size of a piece; 0 without any."""
        return statistics.median(p.size_bytes for p in self.pieces) if self.pieces else 0.0

    def brief(self) -> dict[str, Any]:
        """For the evidence of a probe that reads only the status."""
        return {"outcome": self.outcome, "status": self.status, "took_ms": round(self.took_ms, 1)}

    def measured(self) -> dict[str, Any]:
        """For the evidence."""
        return self.brief() | {"bytes": self.size_bytes, "pieces": len(self.pieces)}


def http_get(endpoint: Endpoint, path: str, limit_s: float) -> Exchange:
    """GET `path` and read up to the status line; an answer without a status is a close."""
    return exchange(endpoint, path, limit_s, head_only=True)


def exchange(endpoint: Endpoint, path: str, limit_s: float, *, head_only: bool = False) -> Exchange:
    """GET `path` and read up to the end of the connection, for `limit_s` at most."""
    start_s = time.monotonic()
    pieces: list[Piece] = []
    answer = b""

    def over(end: Ending) -> Exchange:
        took_ms = (time.monotonic() - start_s) * 1000
        return Exchange(end, _status(answer), tuple(pieces), took_ms)

    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=limit_s) as link:
            headers = {"Host": endpoint, "Connection": "close", **HEADERS}
            lines = [f"GET {path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
            link.sendall("\r\n".join([*lines, "", ""]).encode())
            while len(answer) < _ANSWER_BYTES_MAX and len(pieces) < _PIECES_MAX:
                link.settimeout(max(0.001, start_s + limit_s - time.monotonic()))
                chunk = link.recv(65536)
                if not chunk:
                    return over("closed" if head_only else _end_of(answer))
                pieces.append(Piece((time.monotonic() - start_s) * 1000, len(chunk)))
                answer += chunk
                if head_only and b"\r\n" in answer:
                    return over("closed" if _status(answer) is None else "answered")
    except TimeoutError:
        return over("timeout")
    except ConnectionRefusedError:
        return over("refused")
    except ConnectionResetError:
        return over("reset")
    except OSError:  # broken pipe, unreachable
        return over("closed")
    return over("timeout")  # an endless answer


def _end_of(answer: bytes) -> Ending:
    if not answer:
        return "closed"
    head, gap, body = answer.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not gap or (length is not None and len(body) < int(length[1])):
        return "cut"
    return "answered"


def _status(answer: bytes) -> int | None:
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1].isdigit():
        return int(words[1])
    return None
