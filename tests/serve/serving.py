"""A real server in a thread, and requests to it as they are, without a browser's courtesy."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.serve.app import Site
from chaos.serve.command import listener_at, server_of
from tests.waiting import wait_for

_LIMIT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    site: Site

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """The answer to one request; `headers` with `_` for `-`."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT_S)) as link:
            link.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                link.putheader(name.replace("_", "-"), value)
            link.endheaders()
            answer = link.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def raw(self, request: bytes) -> bytes:
        """What comes back for these bytes."""
        with closing(socket.create_connection(("127.0.0.1", self.port), _LIMIT_S)) as link:
            try:
                link.sendall(request)
                link.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: link.recv(65536), b""))
            except OSError:  # refused before it was read to its end
                return b""

    @contextmanager
    def events(self, run_id: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of a run, (name, data), as they come; a comment has the name "" ."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_LIMIT_S)) as link:
            link.request("GET", f"/runs/{run_id}/events")
            answer = link.getresponse()
            assert answer.status == 200, answer.read()
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield _events(answer)


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name, data = "", None
    for line in answer:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            data = json.loads(text.removeprefix("data: "))
        elif not text:
            yield name, data
            name, data = "", None


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Serve `root` while the block runs."""
    listener = listener_at(0)
    port = listener.getsockname()[1]
    server, site = server_of(root, port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_for("the server is up", lambda: server.started)
        yield Server(port, site)
    finally:
        server.should_exit = True
        thread.join(_LIMIT_S)
        listener.close()
        assert not thread.is_alive(), "the server did not end"


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Each file below `root` with what must not change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        regular = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
        kept = (status.st_mode, status.st_mtime_ns, status.st_size, content)
        found[str(path.relative_to(root))] = kept
    return found
