"""A client that reads what really comes, byte by byte, and says how it ended."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

LIMIT_S = 30.0


@dataclass
class Seen:
    """One answer: head, decoded body, and whether the connection was closed or fell silent."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: str  # complete, closed, silent


def ask(
    port: int,
    path: str,
    body: bytes = b"{}",
    *,
    method: str = "POST",
    headers: str = "",
    silence_s: float = LIMIT_S,
) -> Seen:
    """One request on a connection of its own; gives up after `silence_s` without a byte."""
    with request(port, path, body, method=method, headers=headers) as link:
        return read_answer(link, silence_s, has_body=method != "HEAD")


def request(
    port: int, path: str, body: bytes, *, method: str = "POST", headers: str = ""
) -> socket.socket:
    """Send a request; the connection, from which its answer can be read."""
    link = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    link.sendall(head.encode() + body)
    return link


def read_answer(link: socket.socket, silence_s: float, *, has_body: bool = True) -> Seen:
    raw, ended = b"", ""
    end_s = time.monotonic() + LIMIT_S
    while not ended:
        assert time.monotonic() < end_s, "the answer never ends"
        head, found, rest = raw.partition(b"\r\n\r\n")
        if found:
            seen = _parsed(head, rest, has_body)
            if seen.ended == "complete":
                return seen
        link.settimeout(silence_s)
        try:
            chunk = link.recv(65536)
        except TimeoutError:
            ended = "silent"
            break
        except ConnectionResetError:
            chunk = b""
        raw += chunk
        ended = "" if chunk else "closed"
    head, _, rest = raw.partition(b"\r\n\r\n")
    if not head:
        return Seen(0, {}, b"", ended)
    seen = _parsed(head, rest, has_body)
    seen.ended = ended
    return seen


def _parsed(head: bytes, rest: bytes, has_body: bool) -> Seen:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    status = int(first.split()[1])
    if not has_body:
        return Seen(status, headers, b"", "complete")
    if headers.get("transfer-encoding") == "chunked":
        body, complete = _dechunked(rest)
        return Seen(status, headers, body, "complete" if complete else "")
    size = int(headers.get("content-length", "-1"))
    return Seen(status, headers, rest, "complete" if len(rest) == size else "")


def _dechunked(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        line, found, after = rest.partition(b"\r\n")
        if not found:
            return body, False
        size = int(line, 16)
        body += after[:size]
        if size == 0:
            return body, after.startswith(b"\r\n")
        if len(after) < size + 2:
            return body, False
        rest = after[size + 2 :]
