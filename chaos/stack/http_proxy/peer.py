"""One HTTP/1.1 connection (h11) over asyncio streams, with limits of time and size.

Knows nothing of rules.
"""

import asyncio
import contextlib
from typing import Any

import h11

CHUNK_BYTES = 65_536
HEAD_BYTES_MAX = 65_536
WRITE_LIMIT_S = 600.0  # the LLM server's own limit for a client that does not read

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect".split()
)

Headers = list[tuple[bytes, bytes]]


class Gone(Exception):
    """The other side went away, took too long, or speaks no HTTP."""


def passed_on(headers: Any) -> Headers:
    """The headers that a proxy forwards: all but the hop-by-hop ones (RFC 9110, 7.6.1)."""
    return [(name, value) for name, value in headers.raw_items() if name.lower() not in _HOP_BY_HOP]


def header(headers: Any, name: bytes) -> bytes:
    """The value of a header (name in lower case); empty when there is none."""
    return next((bytes(value) for key, value in headers if key == name), b"")


class Peer:
    """`role`: our side, h11.SERVER towards a client or h11.CLIENT towards a server."""

    def __init__(
        self, role: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.h11 = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._reader = reader
        self._writer = writer

    async def next_event(self, limit_s: float) -> Any:
        """The next h11 event; raises `Gone` when none comes within `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                while (event := self.h11.next_event()) is h11.NEED_DATA:
                    if self.h11.they_are_waiting_for_100_continue:
                        await self.send(h11.InformationalResponse(status_code=100, headers=[]))
                    self.h11.receive_data(await self._reader.read(CHUNK_BYTES))
                return event
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            raise Gone(repr(error)) from error

    async def send(self, event: Any) -> None:
        """Send one h11 event; waits while the other side does not read."""
        try:
            data = self.h11.send(event)
            if data:
                self._writer.write(data)
                async with asyncio.timeout(WRITE_LIMIT_S):
                    await self._writer.drain()
        except (OSError, TimeoutError, h11.LocalProtocolError) as error:
            raise Gone(repr(error)) from error

    async def respond(self, status: int, headers: Any, body: bytes) -> None:
        """Send a whole response."""
        await self.send(h11.Response(status_code=status, headers=headers))
        if body:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    def next_cycle(self) -> bool:
        """Prepare for the next request; False if the connection cannot carry another one."""
        if self.h11.our_state is not h11.DONE or self.h11.their_state is not h11.DONE:
            return False
        self.h11.start_next_cycle()
        return True

    async def wait_gone(self) -> None:
        """Return when the other side has closed. Call it only between complete events.

        A client that closes its sending half counts as gone, as for the LLM server. If it sends
        its next request meanwhile, that is kept, and the end is no longer noticed.
        """
        try:
            data = await self._reader.read(CHUNK_BYTES)
        except OSError:
            return
        if data:
            self.h11.receive_data(data)
            await asyncio.Event().wait()

    async def close(self, *, hard: bool = False) -> None:
        """Close the connection; `hard` drops unsent data."""
        if hard:
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
