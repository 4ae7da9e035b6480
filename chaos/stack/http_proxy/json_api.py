"""A small JSON API on a port of its own: one function answers every request.

For a few local clients. Head, body, time and connections are limited.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import h11

from chaos.stack.http_proxy.peer import Gone, Peer

BODY_BYTES_MAX = 1 << 18
REQUEST_LIMIT_S = 10.0
IDLE_LIMIT_S = 30.0
CONNECTIONS_MAX = 64

# (method, path, decoded JSON body or None) -> (status, JSON value; None: no body)
Route = Callable[[str, str, Any], Awaitable[tuple[int, Any]]]


class BadBody(ValueError):
    """The body is not JSON."""


class JsonApi:
    """Serves `route`. For one event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(h11.SERVER, reader, writer)
        self._open += 1
        try:
            while self._open <= CONNECTIONS_MAX and await self._answer(peer):
                pass
        except Gone:
            pass
        finally:
            self._open -= 1
            await peer.close()

    async def _answer(self, peer: Peer) -> bool:
        """Answer one request; True if the connection can carry another one."""
        request = await peer.next_event(IDLE_LIMIT_S)
        if not isinstance(request, h11.Request):
            return False
        try:
            body = await _json_body(peer)
        except BadBody as error:
            status, answer = 400, {"error": str(error), "status": 400}
        else:
            path = request.target.partition(b"?")[0].decode("ascii", "replace")
            status, answer = await self._route(request.method.decode("ascii"), path, body)
        content = b"" if answer is None else json.dumps(answer).encode()
        headers = [
            ("Content-Type", "application/json"),
            *([] if status == 204 else [("Content-Length", str(len(content)))]),
        ]
        await peer.respond(status, headers, content)
        return peer.next_cycle()


async def _json_body(peer: Peer) -> Any:
    body = b""
    while not isinstance(event := await peer.next_event(REQUEST_LIMIT_S), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise Gone("the client aborted its request")
        body += event.data
        if len(body) > BODY_BYTES_MAX:
            raise Gone(f"a body of more than {BODY_BYTES_MAX} bytes")
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is no JSON: {error}") from error
