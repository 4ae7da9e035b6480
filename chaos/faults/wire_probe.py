"""One HTTP GET, told as what happened on the wire. The witness of LLM faults.

A client library would fold hang, close and refusal into one exception; a fault is proven by
telling them apart. Each probe opens its own connection and ends within its limit.
"""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

from chaos.stack.base import Endpoint

Outcome = Literal["answered", "timeout", "closed", "refused"]

_BYTES_MAX = 4096


@dataclass(frozen=True)
class Wire:
    """What one probe saw. `status` is the HTTP status of an answer, else None."""

    outcome: Outcome
    status: int | None
    took_ms: float

    @property
    def ok(self) -> bool:
        """An answer with status 200."""
        return self.outcome == "answered" and self.status == 200

    def measured(self) -> dict[str, Any]:
        """As written into the history."""
        return asdict(self)


def http_get(endpoint: Endpoint, path: str, limit_s: float) -> Wire:
    """GET `path` and read up to the status line; `limit_s` bounds the whole exchange."""
    start_s = time.monotonic()
    end_s = start_s + limit_s

    def seen(outcome: Outcome, status: int | None = None) -> Wire:
        return Wire(outcome, status, round((time.monotonic() - start_s) * 1000, 1))

    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=limit_s) as link:
            request = f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n"
            link.sendall(request.encode())
            answer = b""
            while b"\r\n" not in answer and len(answer) < _BYTES_MAX:
                link.settimeout(max(0.001, end_s - time.monotonic()))
                chunk = link.recv(1024)
                if not chunk:
                    return seen("closed")
                answer += chunk
    except TimeoutError:
        return seen("timeout")
    except ConnectionRefusedError:
        return seen("refused")
    except OSError:  # reset, broken pipe: the connection ended without an answer
        return seen("closed")
    words = answer.split(b"\r\n", 1)[0].split()
    has_status = len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return seen("answered", int(words[1])) if has_status else seen("closed")
