"""Reads the HTTP exchanges of one connection: who asked what, what came back, and how it ended.

The protocol is h11's business. Only the head of each body is kept, and its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
from streams import Segment, Stream

HARNESS = "chaos"  # the User-Agent of the harness: its exchanges are not the daemon's
_SHOWN_BYTES = 4096
_BODY_BYTES_MAX = 1 << 20  # of a body that is looked into

Write = Callable[..., None]


@dataclass
class Body:
    """A body as it comes: its size, its hash, and its first part."""

    size_bytes: int = 0
    head: bytes = b""
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, data: bytes) -> None:
        """Append bytes; those beyond the first megabyte are only counted and hashed."""
        self.size_bytes += len(data)
        self._hash.update(data)
        if len(self.head) < _BODY_BYTES_MAX:
            self.head += data[: _BODY_BYTES_MAX - len(self.head)]

    @property
    def sha256(self) -> str | None:
        """Of all that came; None without a byte."""
        return self._hash.hexdigest() if self.size_bytes else None

    @property
    def text(self) -> str:
        """The first 4 kB, decoded; bytes that are no UTF-8 are replaced."""
        return self.head[:_SHOWN_BYTES].decode(errors="replace")


class Exchange:
    """A request, and its answer as far as it came. Times in seconds since 1970."""

    def __init__(self, begin_s: float) -> None:
        self.begin_s = begin_s
        self.first_byte_s: float | None = None
        self.method = self.path = ""
        self.status: int | None = None
        self.harness = False
        self.sent, self.received = Body(), Body()
        self.requested = False  # the whole request has come
        self.answered = False
        self._events = False  # the answer is a stream of server-sent events
        self._request = h11.Connection(h11.SERVER)
        self._answer = h11.Connection(h11.CLIENT)

    def request_bytes(self, data: bytes) -> bytes:
        """Bytes of the client; returns those of the next request. Raises `h11.ProtocolError`."""
        self._request.receive_data(data)
        while not self.requested:
            event = self._request.next_event()
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self.sent.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.requested = True
            else:
                return b""
        return self._request.trailing_data[0]

    def _begin(self, request: h11.Request) -> None:
        self.method, self.path = request.method.decode(), request.target.decode(errors="replace")
        headers = dict(request.headers)
        self.harness = headers.get(b"user-agent", b"").decode(errors="replace") == HARNESS
        self._answer.send(h11.Request(method=request.method, target="/", headers=[("Host", "x")]))
        self._answer.send(h11.EndOfMessage())

    def answer_bytes(self, data: bytes, time_s: float) -> None:
        """Bytes of the server; none: it sends no more. Raises `h11.ProtocolError`."""
        if data and self.first_byte_s is None:
            self.first_byte_s = time_s
        self._answer.receive_data(data)
        while not self.answered:
            event = self._answer.next_event()
            if isinstance(event, h11.Response):
                self.status = event.status_code
                kind = dict(event.headers).get(b"content-type", b"")
                self._events = kind.startswith(b"text/event-stream")
            elif isinstance(event, h11.Data):
                self.received.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.answered = True
            elif not isinstance(event, h11.InformationalResponse):
                return

    @property
    def at_end_mark(self) -> bool:
        """True if a stream of events has come up to its end mark: [DONE], or llama.cpp's stop."""
        field, _, data = self.received.head.rstrip().rpartition(b"\n")[2].partition(b":")
        if not self._events or field != b"data":
            return False
        if data.strip() == b"[DONE]":
            return True
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return False
        return isinstance(event, dict) and event.get("stop") is True

    def facts(self) -> dict[str, Any]:
        """What is noted of it; of the harness's own bodies only their size."""
        text, finish = completion_of(self.received, events=self._events)
        bodies = {} if self.harness else {"sent": self.sent.text, "text": text, "finish": finish}
        return {
            "time_s": self.begin_s,
            "first_byte_s": self.first_byte_s,
            "method": self.method or None,
            "path": self.path or None,
            "status": self.status,
            "harness": self.harness or None,
            "sent_bytes": self.sent.size_bytes,
            "received_bytes": self.received.size_bytes,
            "sha256": self.received.sha256,
            **{name: value or None for name, value in bodies.items()},
        }


class Connection:
    """One TCP connection: writes a line for each exchange, or one if there was none.

    How an exchange ended (`ended`): `answered`; `cut`, `reset` by the server's side before the
    whole answer had come; `refused`, `silent` (nobody took the connection); `given_up` by the
    client; `garbled` (not HTTP, or bytes are missing); `unused` (no request); `open` at the end.
    A client that leaves at the end mark of a stream, before the last chunk, has been answered.
    """

    def __init__(self, number: int, link: str, first: Segment, write: Write) -> None:
        self._facts = {"connection": number, "link": link, "client_port": first.source.port}
        self._facts["open_s"] = first.time_s
        self._write = write
        self._client, self._server = Stream(), Stream()
        self._exchange: Exchange | None = None
        self._count = 0
        self._garbled = False
        self._client_ended_s: float | None = None
        self._server_ended = False
        self._whole = False  # the client has left at the end mark of a stream
        self.accepted = False
        self.over = False

    def from_client(self, segment: Segment) -> None:
        """A segment of the client."""
        self._read(self._client.take(segment), self._client, self._request, segment.time_s)
        if (segment.ends or segment.resets) and self._client_ended_s is None:
            self._whole = self._exchange is not None and self._exchange.at_end_mark
        if segment.resets:
            self._server_ended = False  # what it sent did not arrive
            self._finish("given_up", self._client_ended_s or segment.time_s)
        elif self._client_ended_s is not None and self._server_ended:
            # It has closed its side before, and takes the answer nevertheless.
            self._finish("given_up", self._client_ended_s)
        elif segment.ends and self._client_ended_s is None:
            self._client_ended_s = segment.time_s  # an answer may still come
            if self._exchange is None:
                self._finish("unused", segment.time_s)

    def from_server(self, segment: Segment) -> None:
        """A segment of the server's side."""
        if segment.resets and not self.accepted:
            self._finish("refused", segment.time_s)
            return
        self.accepted = self.accepted or segment.accepts
        self._read(self._server.take(segment), self._server, self._answer, segment.time_s)
        if segment.ends and self._exchange is not None:
            with contextlib.suppress(h11.ProtocolError):  # it ends within the answer: cut
                self._answer(b"", segment.time_s)
        if segment.resets:
            self._finish("reset", segment.time_s)
        elif segment.ends and self._client_ended_s is None:
            self._finish("cut", segment.time_s)
        elif segment.ends:
            self._server_ended = True  # what the client says to that is its next segment

    def finish(self, time_s: float) -> None:
        """The capture ends, or nothing more can come."""
        if self._client_ended_s is not None:
            self._finish("given_up", self._client_ended_s)
        else:
            self._finish("open" if self.accepted else "silent", time_s)

    def _read(
        self, data: bytes, stream: Stream, use: Callable[[bytes, float], None], time_s: float
    ) -> None:
        if data and not self._garbled:
            try:
                use(data, time_s)
            except h11.ProtocolError:
                self._garbled = True
        self._garbled = self._garbled or stream.broken

    def _request(self, data: bytes, time_s: float) -> None:
        if self._exchange is None:
            self._exchange = Exchange(time_s)
        self._exchange.request_bytes(data)

    def _answer(self, data: bytes, time_s: float) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        exchange.answer_bytes(data, time_s)
        if exchange.answered and self._client_ended_s is None:
            self._note(exchange, "answered", time_s)
            rest = exchange.request_bytes(b"") if exchange.requested else b""
            self._exchange = None
            if rest:
                self._request(rest, time_s)

    def _finish(self, ended: str, time_s: float) -> None:
        """The connection is over, by `ended` unless all was answered."""
        if self.over:
            return
        self.over = True
        exchange = self._exchange
        if self._garbled:
            ended = "garbled"
        elif self._whole or (exchange and exchange.answered and self._server_ended):
            ended = "answered"
        if exchange is not None:
            self._note(exchange, ended, time_s)
        elif not self._count:
            unused = "unused" if ended in ("given_up", "cut") else ended
            self._write(**self._facts, time_s=self._facts["open_s"], end_s=time_s, ended=unused)

    def _note(self, exchange: Exchange, ended: str, time_s: float) -> None:
        self._count += 1
        if exchange.harness and exchange.method == "GET" and ended == "answered":
            return  # one of very many polls, by which nobody judges
        self._write(**self._facts, **exchange.facts(), end_s=time_s, ended=ended)


def completion_of(body: Body, *, events: bool) -> tuple[str, str]:
    """(text, why it ended) of a completion by llama.cpp's API or OpenAI's.

    (the first 4 kB, "") of any other body. A text is cut after 4096 characters.
    """
    lines = [body.head]
    if events:
        data = (line.partition(b":")[2] for line in body.head.splitlines() if line[:5] == b"data:")
        lines = [line for line in data if line.strip() != b"[DONE]"]
    texts, finish = [], ""
    for line in lines:
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            continue
        text, why = _part(answer)
        if text is not None:
            texts.append(text)
        finish = why or finish
    if not texts:
        return body.text, ""
    return "".join(texts)[:_SHOWN_BYTES], finish


def _part(answer: Any) -> tuple[str | None, str]:
    """(text, why it ended) of one object of an answer; no text: it is none of a completion."""
    if not isinstance(answer, dict):
        return None, ""
    finish = str(answer.get("stop_type") or "")
    if isinstance(answer.get("content"), str):
        return answer["content"], finish
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None, finish
    choice = choices[0]
    finish = str(choice.get("finish_reason") or "")
    message = choice.get("message") or choice.get("delta")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if calls:
        return (text or "") + json.dumps(calls, ensure_ascii=False), finish
    return text if isinstance(text, str) else "", finish
