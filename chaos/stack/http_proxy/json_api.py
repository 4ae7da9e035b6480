"""A small JSON API on a port of its own: one function answers every request.

For a handful of local callers. Everything is limited: head, body, time, connections.
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

# (method, path, decoded JSON body or None) -> (status, what is encoded as JSON; None: no body)
Route = Callable[[str, str, Any], Awaitable[tuple[int, Any]]]


class BadBody(ValueError):
    """The body is no JSON, or is too long."""


class JsonApi:
    """Serves `route`. For one event loop."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(h11.SERVER, reader, writer)
        self._open += 1
        try:
            while self._open <= CONNECTIONS_MAX and await self._one(peer):
                peer.h11.start_next_cycle()
        except Gone:
            pass
        finally:
            self._open -= 1
            await peer.close()

    async def _one(self, peer: Peer) -> bool:
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
        await peer.send(h11.Response(status_code=status, headers=headers))
        if content:
            await peer.send(h11.Data(data=content))
        await peer.send(h11.EndOfMessage())
        return bool(peer.h11.our_state is h11.DONE and peer.h11.their_state is h11.DONE)


async def _json_body(peer: Peer) -> Any:
    body = b""
    while not isinstance(event := await peer.next_event(REQUEST_LIMIT_S), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise Gone("the caller broke its request off")
        body += event.data
        if len(body) > BODY_BYTES_MAX:
            raise Gone(f"a body of more than {BODY_BYTES_MAX} bytes")
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is no JSON: {error}") from error
