"""One completion request to the LLM, and what came back on the wire: how wire faults are proven.

The request has the form in which the daemon asks. It has a grammar, so that the answer can be
checked against it, and few tokens, so that it costs a busy machine little. Each call opens its own
connection and ends within its limits.
"""

import json
import socket
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import h11

from chaos.stack.base import Endpoint
from chaos.stack.http_client import HEADERS
from chaos.stack.llm_api import (
    PROBE_HEADER,
    Completion,
    Form,
    NoCompletion,
    read_completion,
    request_body,
)

Ended = Literal["complete", "closed", "silent", "refused"]

ALLOWED = ("yes", "no")
TOOL = "answer"
_TOKENS = 8
_GRAMMAR = 'root ::= "yes" | "no"'
_FUNCTION = {"name": TOOL, "parameters": {"type": "object", "properties": {}}}
_BODY_BYTES_MAX = 1 << 18
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Answer:
    """What came. `gap_ms`: from the head to the first byte of the body, or to the end."""

    ended: Ended
    status: int | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    gap_ms: float = 0.0
    took_ms: float = 0.0

    @property
    def _streamed(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def events(self) -> int:
        """The number of whole `data:` lines of a streamed answer."""
        return sum(line.startswith(b"data:") for line in self.body.split(b"\n")[:-1])

    @property
    def cut_in_event(self) -> bool:
        """True if it is streamed, and ends within a `data:` line."""
        return self.body.rpartition(b"\n")[2].startswith(b"data:")

    @cached_property
    def completion(self) -> Completion | None:
        """What it says; None if it is cut, or no completion."""
        try:
            return read_completion(self.body, streamed=self._streamed)
        except NoCompletion:
            return None

    @property
    def content(self) -> str | None:
        """The completion's text; None if the answer has none."""
        return None if self.completion is None else self.completion.text

    @property
    def error(self) -> str:
        """What an error is called: its `code` by OpenAI's API, else its `type`; else empty."""
        try:
            error = json.loads(self.body)["error"]
            return str(error["code"] if isinstance(error.get("code"), str) else error["type"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
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
        if self.error:
            measured["error"] = self.error[:_SHOWN_CHARS]
        return measured


def ask(
    endpoint: Endpoint,
    *,
    limit_s: float,
    silence_s: float,
    form: Form = Form(),  # noqa: B008 (it is frozen)
    tokens: int | None = None,
    number: int = 1,
) -> Answer:
    """Send the request and read the answer, for `limit_s` at most.

    Once the head has come, `silence_s` without a byte ends it, too. With `tokens` so many are
    requested, without a grammar. `number`: of this request in the probe.
    """
    more: dict[str, Any] = {"stream": form.stream}
    if form.tools:  # a server takes no grammar beside tools
        more["tools"] = [{"type": "function", "function": _FUNCTION}]
    elif tokens is None:
        more["grammar"] = _GRAMMAR
    else:
        more["ignore_eos"] = True
    body = request_body(form.path, "So?", tokens or _TOKENS, **more)
    http = h11.Connection(h11.CLIENT)
    request = _request(http, endpoint, form.path, number, json.dumps(body).encode())
    start_s = time.monotonic()
    status: int | None = None
    headers: dict[str, str] = {}
    received = b""
    head_s = first_s = 0.0  # when the head and the first byte of the body came; 0: not yet

    def left_s() -> float:
        whole_s = start_s + limit_s - time.monotonic()
        return max(0.001, min(whole_s, silence_s) if head_s else whole_s)

    def answer(ended: Ended) -> Answer:
        now_s = time.monotonic()
        gap_ms = ((first_s or now_s) - head_s) * 1000 if head_s else 0.0
        return Answer(ended, status, received, headers, gap_ms, (now_s - start_s) * 1000)

    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=left_s()) as link:
            link.sendall(request)
            while len(received) <= _BODY_BYTES_MAX:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    link.settimeout(left_s())
                    http.receive_data(link.recv(65_536))
                elif isinstance(event, h11.Response):
                    head_s, status = time.monotonic(), event.status_code
                    headers = {
                        name.decode("latin-1"): value.decode("latin-1")
                        for name, value in event.headers
                    }
                elif isinstance(event, h11.Data):
                    first_s = first_s or time.monotonic()
                    received += event.data
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


def _request(
    http: h11.Connection, endpoint: Endpoint, path: str, number: int, body: bytes
) -> bytes:
    headers = [
        ("Host", str(endpoint)),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        (PROBE_HEADER, str(number)),
        *HEADERS.items(),
    ]
    head = h11.Request(method="POST", target=path, headers=headers)
    parts = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(part) or b"" for part in parts)
