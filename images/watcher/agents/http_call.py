"""Makes one HTTP call on its own connection, with one timeout for the whole call.

The timeout is total: a server that sends one byte a second cannot extend it. The call ends at once
when the daemon must stop. The request does not ask the server to close the connection: a proxy that
holds an answer back would pass that close on, and an outage would look like a fast refusal. Knows
nothing of the content.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401  (getaddrinfo imports it, later perhaps without free memory)
import errno
import http.client
import io
import json
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, cast

from agents.stop import SLICE_S, Stop

REPLY_LIMIT_BYTES = 1024 * 1024
_CHUNK_BYTES = 65536


class CallFailed(Exception):
    """The call got no usable answer; the message says how it ended."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status code and decoded JSON body (None if the body is not JSON)."""

    status: int
    body: Any


def call(
    stop: Stop,
    address: tuple[str, int],
    method: str,
    path: str,
    *,
    limit_s: float,
    body: dict[str, Any] | None = None,
) -> Reply:
    """Sends one request and returns the answer. `address` is (host, port).

    Raises CallFailed if no complete answer came within `limit_s`, and Halted when asked to stop.
    """
    exchange = _Exchange(stop, limit_s)
    try:
        raw = exchange.run(address, _request_bytes(address, method, path, body))
    except OSError as error:
        raise CallFailed(_describe(error)) from error
    return _parse(raw)


def _request_bytes(
    address: tuple[str, int], method: str, path: str, body: dict[str, Any] | None
) -> bytes:
    payload = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode("ascii") + payload


class _Exchange:
    """Sends and receives the bytes of one call before one deadline."""

    def __init__(self, stop: Stop, limit_s: float) -> None:
        self._stop = stop
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s

    def run(self, address: tuple[str, int], request: bytes) -> bytes:
        family, kind, protocol, _, target = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setblocking(False)
            self._connect(sock, target)
            self._send(sock, request)
            return self._receive(sock)

    def _connect(self, sock: socket.socket, target: Any) -> None:
        code = sock.connect_ex(target)
        if code == errno.EINPROGRESS:
            self._wait(sock, select.POLLOUT)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def _send(self, sock: socket.socket, data: bytes) -> None:
        while data:
            self._wait(sock, select.POLLOUT)
            data = data[sock.send(data) :]

    def _receive(self, sock: socket.socket) -> bytes:
        raw = bytearray()
        while not _complete(raw):
            self._wait(sock, select.POLLIN)
            chunk = sock.recv(_CHUNK_BYTES)
            if not chunk:
                break
            raw += chunk
            if len(raw) > REPLY_LIMIT_BYTES:
                raise CallFailed(f"answer larger than {REPLY_LIMIT_BYTES} bytes")
        return bytes(raw)

    def _wait(self, sock: socket.socket, event: int) -> None:
        poll = select.poll()
        poll.register(sock, event)
        while True:
            self._stop.check()
            left_s = self._deadline - time.monotonic()
            if left_s <= 0:
                raise CallFailed(f"timeout after {self._limit_s:.1f} s")
            if poll.poll(min(left_s, SLICE_S) * 1000):
                return


def _complete(raw: bytearray) -> bool:
    """True if the whole answer has been received. The server may keep the connection open."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value)
        if name == b"transfer-encoding" and b"chunked" in value:
            return body.endswith(b"0\r\n\r\n")
    return False


class _Received:
    """A file-like socket, so that the standard library's parser can read received bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def _parse(raw: bytes) -> Reply:
    if not raw:
        raise CallFailed("connection closed without an answer")
    response = http.client.HTTPResponse(cast(socket.socket, _Received(raw)))
    try:
        response.begin()
        text = response.read()
    except (http.client.HTTPException, ValueError) as error:
        raise CallFailed(f"answer cut short or garbled ({type(error).__name__})") from error
    try:
        return Reply(response.status, json.loads(text))
    except (ValueError, RecursionError):
        return Reply(response.status, None)


def _describe(error: OSError) -> str:
    names = {
        errno.ECONNREFUSED: "connection refused",
        errno.ECONNRESET: "connection reset",
        errno.EPIPE: "connection reset",
    }
    return names.get(error.errno or 0, f"connection failed: {error.strerror or error}")
