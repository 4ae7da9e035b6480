"""Signals of the LLM server: health, its request gauges, its process number. Never waits.

Asks the server itself, not through the proxy, so that a fault on the wire does not blind the
observer. A request is sent at one sample and its answer read at the next one; there is never
more than one request under way for each question, so a server that hangs is not piled upon.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from pathlib import Path
from typing import Literal

import msgspec

from chaos.stack.base import Endpoint
from chaos.witness.base import PathTail, SourceBase, Values
from chaos.witness.lives import Lives

_HEALTH_PERIOD_S = 0.5
_PROCESS_PERIOD_S = 0.5

Health = Literal["ok", "loading", "down", "hung"]

_ANSWER_BYTES_MAX = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class Lost(Exception):
    """The connection was refused, reset or closed before the answer was whole."""


class Inquiry:
    """One question (GET) over a non-blocking HTTP/1.1 connection, asked again and again."""

    def __init__(self, endpoint: Endpoint, path: str, *, keep_alive: bool) -> None:
        self._address = (endpoint.host, endpoint.port)
        self._keep_alive = keep_alive
        connection = "keep-alive" if keep_alive else "close"
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: {connection}\r\n\r\n"
        ).encode()
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._received = b""
        self.asked_at_s: float | None = None  # monotonic; None: nothing is under way

    def ask(self, now_s: float) -> None:
        """Send the question, connecting first if needed. Raises `Lost`."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect_ex(self._address)
        self._unsent, self._received = self._request, b""
        self.asked_at_s = now_s
        self._send()

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass  # still connecting; tried again when the answer is looked for
        except OSError as error:
            self.drop()
            raise Lost(error.strerror) from error

    def answer(self) -> tuple[int, bytes] | None:
        """(HTTP status, body) once it is whole, None before. Raises `Lost`."""
        if self.asked_at_s is None or self._socket is None:
            return None
        if self._unsent:
            self._send()
        ended = False
        try:
            while not ended and not self._whole():
                chunk = self._socket.recv(65536)
                ended = not chunk
                self._received += chunk
        except BlockingIOError:
            return None
        except OSError as error:
            self.drop()
            raise Lost(error.strerror) from error
        return self._finish(ended)

    def _whole(self) -> bool:
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if len(self._received) > _ANSWER_BYTES_MAX:
            return True
        length = _LENGTH.search(head) if gap else None
        return length is not None and len(body) >= int(length[1])

    def _finish(self, ended: bool) -> tuple[int, bytes]:
        head, gap, body = self._received.partition(b"\r\n\r\n")
        status = head[9:12]
        if not gap or not status.isdigit():
            self.drop()
            raise Lost("closed without an answer")
        self.asked_at_s = None
        if ended or not self._keep_alive or _LAST.search(head):
            self.drop()
        return int(status), body

    def drop(self) -> None:
        """Close the connection; a question under way is forgotten."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.asked_at_s = None


class LLMHealth(SourceBase):
    """`llm.health`: ok, loading (503), down (nobody answers, or an error), hung (no answer).

    Asked at one look and answered by the next, so a value is two periods old at most. Absent
    until the first answer. `hung` after `hung_after_s` without an answer; a question
    that is not answered within `give_up_s` is asked again over a new connection.
    """

    def __init__(
        self, endpoint: Endpoint, *, hung_after_s: float = 2.0, give_up_s: float = 30.0
    ) -> None:
        super().__init__("llm.health", _HEALTH_PERIOD_S)
        self._inquiry = Inquiry(endpoint, "/health", keep_alive=True)
        self._hung_after_s = hung_after_s
        self._give_up_s = give_up_s
        self._state: Health | None = None

    def read(self, values: Values) -> None:
        """Adds `llm.health`."""
        self._absent.clear()
        now_s = time.monotonic()
        try:
            self._step(now_s)
        except Lost:
            # An idle connection may be closed for good reasons: only a new one tells.
            try:
                self._inquiry.ask(now_s)
            except Lost:
                self._state = "down"
        if self._state is None:
            self._absent["llm.health"] = "no answer yet"
        else:
            values["llm.health"] = self._state

    def _step(self, now_s: float) -> None:
        asked_at_s = self._inquiry.asked_at_s
        answer = self._inquiry.answer()
        if answer is not None:
            self._state = {200: "ok", 503: "loading"}.get(answer[0], "down")  # type: ignore[assignment]
        elif asked_at_s is not None:
            waited_s = now_s - asked_at_s
            if waited_s >= self._hung_after_s:
                self._state = "hung"
            if waited_s < self._give_up_s:
                return
            self._inquiry.drop()
        self._inquiry.ask(now_s)

    def close(self) -> None:
        """Close the connection."""
        self._inquiry.drop()


class LLMGauges(SourceBase):
    """`llm.requests_processing` and `llm.requests_deferred` from `/metrics`, once a second.

    Asked at one look and answered by the next, half a period later. Between two readings the
    last one is repeated; it is dropped when the server is gone.
    """

    def __init__(self, endpoint: Endpoint, *, period_s: float = 1.0) -> None:
        super().__init__("llm.metrics", period_s / 2)
        # One connection each: a kept one would hold one of the server's few HTTP threads.
        self._inquiry = Inquiry(endpoint, "/metrics", keep_alive=False)
        self._ask_period_s = period_s
        self._give_up_s = 30.0
        self._next_s = 0.0
        self._gauges: dict[str, int] = {}
        self._absent["llm.metrics"] = "no answer yet"

    def read(self, values: Values) -> None:
        """Adds the two keys, if the server tells."""
        now_s = time.monotonic()
        try:
            asked_at_s = self._inquiry.asked_at_s
            answer = self._inquiry.answer()
            if answer is not None:
                self._take(*answer)
            elif asked_at_s is not None and now_s - asked_at_s > self._give_up_s:
                raise Lost("no answer")
            if self._inquiry.asked_at_s is None and now_s >= self._next_s:
                self._next_s = now_s + self._ask_period_s
                self._inquiry.ask(now_s)
        except Lost as lost:
            self._inquiry.drop()
            self._next_s = now_s + self._ask_period_s
            self._missing(str(lost).lower())
        values.update(self._gauges)

    def _take(self, status: int, body: bytes) -> None:
        if status != 200:
            self._missing(f"HTTP {status}")
            return
        gauges = {}
        for gauge in ("requests_processing", "requests_deferred"):
            found = re.search(rb"^llamacpp:%b (\d+)" % gauge.encode(), body, re.MULTILINE)
            if found:
                gauges[f"llm.{gauge}"] = int(found[1])
        if gauges:
            self._gauges = gauges
            self._absent.clear()
        else:
            self._missing("no llama.cpp gauges in the answer")

    def _missing(self, why: str) -> None:
        self._gauges = {}
        self._absent["llm.metrics"] = why

    def close(self) -> None:
        """Close the connection."""
        self._inquiry.drop()


class LLMProcess(SourceBase):
    """`llm.pid` and `llm.generation` from the supervisor's event log: absent while none runs.

    The generation counts the processes that the server has been, from 0.
    """

    def __init__(self, events: Path) -> None:
        super().__init__("llm.process", _PROCESS_PERIOD_S)
        self._tail = PathTail(events)
        self._pid: int | None = None
        self._starts = 0
        self._lives = Lives()

    def pid(self) -> int | None:
        """The server's process as of the last read; None while there is none."""
        return self._pid

    def read(self, values: Values) -> None:
        """Adds the two keys."""
        self._absent.clear()
        with contextlib.suppress(FileNotFoundError):
            lines, anew = self._tail.new_lines()
            if anew:
                self._pid = None
            for line in lines.splitlines() if lines else ():
                self._take(line)
        if self._pid is None:
            self._absent["llm.process"] = "no server process in the supervisor's events"
        else:
            values["llm.pid"] = self._pid
            values["llm.generation"] = self._lives.generation

    def _take(self, line: bytes) -> None:
        try:
            entry = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(entry, dict):
            return
        event, pid = entry.get("event"), entry.get("pid")
        if event in ("start", "ready") and isinstance(pid, int):
            self._starts += event == "start"  # a number may be used again
            self._pid = pid
            self._lives.of((pid, self._starts))
        elif event in ("gone", "crashed"):
            self._pid = None

    def close(self) -> None:
        """Close the event log."""
        self._tail.close()
