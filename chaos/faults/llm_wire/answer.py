"""One completion request to the LLM, and what came back on the wire: how wire faults are proven.

The request has a grammar, so that the answer can be checked against it, and few tokens, so that it
costs a busy machine little. Each call opens its own connection and ends within its limits.
"""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Literal

import h11

from chaos.stack.base import Endpoint
from chaos.stack.http_client import HEADERS

Ended = Literal["complete", "closed", "silent", "refused"]

ALLOWED = ("yes", "no")
_QUESTION = {"prompt": "So?", "temperature": 0, "seed": 1, "cache_prompt": False}
_DECIDE = {"n_predict": 8, "grammar": 'root ::= "yes" | "no"', "stream": False}
_BODY_BYTES_MAX = 1 << 18
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Answer:
    """What came. `gap_ms`: from the head to the first byte of the body, or to the end."""

    ended: Ended
    status: int | None = None
    body: bytes = b""
    retry_after: str = ""
    gap_ms: float = 0.0
    took_ms: float = 0.0

    @property
    def events(self) -> int:
        """The number of `data:` lines of a streamed answer."""
        return sum(line.startswith(b"data:") for line in self.body.splitlines())

    @property
    def content(self) -> str | None:
        """The completion's text; None if the answer is no completion."""
        try:
            content = json.loads(self.body)["content"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return content if isinstance(content, str) else None

    @property
    def error_type(self) -> str:
        """`error.type` of an error in the server's format; else empty."""
        try:
            return str(json.loads(self.body)["error"]["type"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""

    @property
    def good(self) -> bool:
        """True for a whole answer with status 200."""
        return self.ended == "complete" and self.status == 200

    @property
    def usable(self) -> bool:
        """True for a whole answer that obeys the grammar."""
        return self.good and self.content in ALLOWED

    def measured(self) -> dict[str, Any]:
        """For the evidence."""
        measured: dict[str, Any] = {
            "ended": self.ended,
            "status": self.status,
            "bytes": len(self.body),
            "gap_ms": round(self.gap_ms, 1),
            "took_ms": round(self.took_ms, 1),
        }
        if self.content is not None:
            measured["content"] = self.content[:_SHOWN_CHARS]
        if self.error_type:
            measured["error_type"] = self.error_type[:_SHOWN_CHARS]
        return measured


def ask(
    endpoint: Endpoint, *, limit_s: float, silence_s: float, stream_tokens: int | None = None
) -> Answer:
    """Send the request and read the answer, for `limit_s` at most.

    Once the head has come, `silence_s` without a byte ends it, too. With `stream_tokens` so many
    tokens are requested, streamed, without a grammar.
    """
    stream = {"n_predict": stream_tokens, "ignore_eos": True, "stream": True}
    question = {**_QUESTION, **(_DECIDE if stream_tokens is None else stream)}
    http = h11.Connection(h11.CLIENT)
    request = _request(http, endpoint, json.dumps(question).encode())
    start_s = time.monotonic()
    status: int | None = None
    retry_after, body = "", b""
    head_s = first_s = 0.0  # when the head and the first byte of the body came; 0: not yet

    def left_s() -> float:
        whole_s = start_s + limit_s - time.monotonic()
        return max(0.001, min(whole_s, silence_s) if head_s else whole_s)

    def answer(ended: Ended) -> Answer:
        now_s = time.monotonic()
        gap_ms = ((first_s or now_s) - head_s) * 1000 if head_s else 0.0
        return Answer(ended, status, body, retry_after, gap_ms, (now_s - start_s) * 1000)

    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=left_s()) as link:
            link.sendall(request)
            while len(body) <= _BODY_BYTES_MAX:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    link.settimeout(left_s())
                    http.receive_data(link.recv(65_536))
                elif isinstance(event, h11.Response):
                    head_s, status = time.monotonic(), event.status_code
                    headers = {bytes(name): bytes(value) for name, value in event.headers}
                    retry_after = headers.get(b"retry-after", b"").decode("latin-1")
                elif isinstance(event, h11.Data):
                    first_s = first_s or time.monotonic()
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return answer("complete")
                elif isinstance(event, h11.ConnectionClosed):
                    break
        return answer("closed")
    except TimeoutError:
        return answer("silent")
    except ConnectionRefusedError:
        return answer("refused")
    except (OSError, h11.RemoteProtocolError):  # reset, or cut in the middle
        return answer("closed")


def _request(http: h11.Connection, endpoint: Endpoint, body: bytes) -> bytes:
    headers = [
        ("Host", str(endpoint)),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *HEADERS.items(),
    ]
    head = h11.Request(method="POST", target="/completion", headers=headers)
    parts = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(part) or b"" for part in parts)
