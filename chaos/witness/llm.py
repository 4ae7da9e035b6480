"""Signals of the LLM server: health, request gauges and PID. Never blocks.

Probes the server directly, not through the proxy, so that a wire fault does not blind the observer.
A probe is sent at one sample and its answer is read at the next. Each probe has at most one request
in flight, so a server that hangs gets no backlog.
"""

import contextlib
import re
import socket
import time
from pathlib import Path
from typing import Literal

from chaos.base.files import json_object
from chaos.stack.base import Endpoint
from chaos.stack.http_client import HEADERS
from chaos.witness.base import PathTail, SourceBase, Values
from chaos.witness.lives import Lives

_HEALTH_PERIOD_S = 0.5
_PROCESS_PERIOD_S = 0.5
_FAULTY, _LOADING = 500, 503

Health = Literal["ok", "loading", "down", "hung"]

_ANSWER_BYTES_MAX = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class ProbeFailed(Exception):
    """The connection was refused, reset or closed before the answer was complete."""


class Probe:
    """A GET request that is sent repeatedly over a non-blocking HTTP/1.1 connection."""

    def __init__(self, endpoint: Endpoint, path: str, *, keep_alive: bool) -> None:
        self._address = (endpoint.host, endpoint.port)
        self._keep_alive = keep_alive
        connection = "keep-alive" if keep_alive else "close"
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {endpoint}\r\nConnection: {connection}\r\n"
            f"User-Agent: {HEADERS['User-Agent']}\r\n\r\n"
        ).encode()
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._received = b""
        self.sent_at_s: float | None = None  # monotonic; None if no request is in flight
        self.is_first = False  # whether the last request was the first one of its connection

    def send(self, now_s: float) -> None:
        """Send the request, after connecting if needed. Raises `ProbeFailed`.

        `now_s`: monotonic seconds.
        """
        self.is_first = self._socket is None
        if self._socket is None:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect_ex(self._address)
        self._unsent, self._received = self._request, b""
        self.sent_at_s = now_s
        self._send()

    def _send(self) -> None:
        assert self._socket is not None
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass  # still connecting; `answer` sends the rest
        except OSError as error:
            self.drop()
            raise ProbeFailed(error.strerror) from error

    def answer(self) -> tuple[int, bytes] | None:
        """(HTTP status, body) once the answer is complete, None before. Raises `ProbeFailed`."""
        if self.sent_at_s is None or self._socket is None:
            return None
        if self._unsent:
            self._send()
        ended = False
        try:
            while not ended and not self._is_complete():
                chunk = self._socket.recv(65536)
                ended = not chunk
                self._received += chunk
        except BlockingIOError:
            return None
        except OSError as error:
            self.drop()
            raise ProbeFailed(error.strerror) from error
        return self._finish(ended)

    def _is_complete(self) -> bool:
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
            raise ProbeFailed("closed without an answer")
        self.sent_at_s = None
        if ended or not self._keep_alive or _LAST.search(head):
            self.drop()
        return int(status), body

    def drop(self) -> None:
        """Close the connection, and forget a request in flight."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.sent_at_s = None


class LLMHealth(SourceBase):
    """`llm.health`: ok, loading (503), down (refused, or another fault), hung (no answer).

    Ok is any answer below 500: a server that has no `path` says 404.

    Sent at one read and answered by the next, so a value is at most two periods old. Absent until
    the first answer. `hung` after `hung_after_s` without an answer. After `give_up_s` the probe is
    sent again over a new connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        path: str = "/health",
        *,
        hung_after_s: float = 2.0,
        give_up_s: float = 30.0,
    ) -> None:
        super().__init__("llm.health", _HEALTH_PERIOD_S)
        self._probe = Probe(endpoint, path, keep_alive=True)
        self._hung_after_s = hung_after_s
        self._give_up_s = give_up_s
        self._state: Health | None = None

    def read(self, values: Values) -> None:
        self._absent.clear()
        now_s = time.monotonic()
        try:
            self._step(now_s)
        except ProbeFailed:
            # A server may close an idle connection, so only a new connection shows if it is down.
            # A relay takes that one, too, and then breaks it.
            if self._probe.is_first:
                self._state = "down"
            try:
                self._probe.send(now_s)
            except ProbeFailed:
                self._state = "down"
        if self._state is None:
            self._absent["llm.health"] = "no answer yet"
        else:
            values["llm.health"] = self._state

    def _step(self, now_s: float) -> None:
        sent_at_s = self._probe.sent_at_s
        answer = self._probe.answer()
        if answer is not None:
            status = answer[0]
            self._state = "ok" if status < _FAULTY else "loading" if status == _LOADING else "down"
        elif sent_at_s is not None:
            waited_s = now_s - sent_at_s
            if waited_s >= self._hung_after_s:
                self._state = "hung"
            if waited_s < self._give_up_s:
                return
            self._probe.drop()
        self._probe.send(now_s)

    def close(self) -> None:
        self._probe.drop()


class LLMGauges(SourceBase):
    """`llm.requests_processing` and `llm.requests_deferred` from `/metrics`, once per `period_s`.

    Sent at one read and answered by the next, half a period later. The last values are repeated
    until the next answer, or until the server is gone.
    """

    def __init__(self, endpoint: Endpoint, *, period_s: float = 1.0) -> None:
        super().__init__("llm.metrics", period_s / 2)
        # A new connection each time: a kept one would occupy one of the server's few HTTP threads.
        self._probe = Probe(endpoint, "/metrics", keep_alive=False)
        self._ask_period_s = period_s
        self._give_up_s = 30.0
        self._next_s = 0.0
        self._gauges: dict[str, int] = {}
        self._absent["llm.metrics"] = "no answer yet"

    def read(self, values: Values) -> None:
        now_s = time.monotonic()
        try:
            sent_at_s = self._probe.sent_at_s
            answer = self._probe.answer()
            if answer is not None:
                self._store(*answer)
            elif sent_at_s is not None and now_s - sent_at_s > self._give_up_s:
                raise ProbeFailed("no answer")
            if self._probe.sent_at_s is None and now_s >= self._next_s:
                self._next_s = now_s + self._ask_period_s
                self._probe.send(now_s)
        except ProbeFailed as error:
            self._probe.drop()
            self._next_s = now_s + self._ask_period_s
            self._set_absent(str(error).lower())
        values.update(self._gauges)

    def _store(self, status: int, body: bytes) -> None:
        if status != 200:
            self._set_absent(f"HTTP {status}")
            return
        gauges = {}
        for gauge in ("requests_processing", "requests_deferred"):
            match = re.search(rb"^llamacpp:%b (\d+)" % gauge.encode(), body, re.MULTILINE)
            if match:
                gauges[f"llm.{gauge}"] = int(match[1])
        if gauges:
            self._gauges = gauges
            self._absent.clear()
        else:
            self._set_absent("no llama.cpp gauges in the answer")

    def _set_absent(self, why: str) -> None:
        self._gauges = {}
        self._absent["llm.metrics"] = why

    def close(self) -> None:
        self._probe.drop()


class LLMProcess(SourceBase):
    """`llm.pid` and `llm.generation` from the supervisor's event log. Absent while none runs.

    The generation counts the server's processes, from 0.
    """

    def __init__(self, events: Path) -> None:
        super().__init__("llm.process", _PROCESS_PERIOD_S)
        self._tail = PathTail(events)
        self._pid: int | None = None
        self._starts = 0
        self._lives = Lives()

    def pid(self) -> int | None:
        """The server's PID as of the last read; None while no server runs."""
        return self._pid

    def read(self, values: Values) -> None:
        self._absent.clear()
        with contextlib.suppress(FileNotFoundError):
            lines, is_new = self._tail.new_lines()
            if is_new:
                self._pid = None
            for line in lines.splitlines() if lines else ():
                self._follow(line)
        if self._pid is None:
            self._absent["llm.process"] = "no server process in the supervisor's events"
        else:
            values["llm.pid"] = self._pid
            values["llm.generation"] = self._lives.generation

    def _follow(self, line: bytes) -> None:
        entry = json_object(line)
        event, pid = entry.get("event"), entry.get("pid")
        if event in ("start", "ready") and isinstance(pid, int):
            self._starts += event == "start"  # a PID may be reused
            self._pid = pid
            self._lives.of((pid, self._starts))
        elif event in ("gone", "crashed"):
            self._pid = None

    def close(self) -> None:
        self._tail.close()
