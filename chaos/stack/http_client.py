"""Send one HTTP request over a new connection, with a timeout. Knows no particular endpoint."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chaos.stack.base import Endpoint
from chaos.stack.llm_api import USER_AGENT

_BODY_BYTES_MAX = 1 << 20
# The witness of the wire (images/wire_witness) knows our own exchanges by it.
HEADERS = {"User-Agent": USER_AGENT}


class NoAnswer(Exception):
    """No complete answer: refused, reset, not HTTP, or (`timed_out`) too late."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.timed_out = isinstance(error, TimeoutError)


@dataclass(frozen=True)
class Answer:
    """Status and body, of which at most 1 MiB is read."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body decoded; `ValueError` when it is not JSON."""
        return json.loads(self.body)


def endpoint_and_path(url: str) -> tuple[Endpoint, str]:
    """The address in an http URL, and the path with its query."""
    parts = urlsplit(url)
    path = parts.path or "/"
    where = Endpoint(parts.hostname or "", parts.port or 80)
    return where, f"{path}?{parts.query}" if parts.query else path


def call(
    endpoint: Endpoint, method: str, path: str, body: Any = None, *, timeout_s: float
) -> Answer:
    """Send a request, with `body` as JSON unless it is None. Raises `NoAnswer`."""
    link = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=timeout_s)
    try:
        text = None if body is None else json.dumps(body)
        link.request(method, path, text, {"Content-Type": "application/json", **HEADERS})
        answer = link.getresponse()
        return Answer(answer.status, answer.read(_BODY_BYTES_MAX))
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(error) from error
    finally:
        link.close()
