"""One HTTP/1.1 connection (h11) over asyncio streams, with a limit on everything.

Knows nothing of rules.
"""

import asyncio
import contextlib
from typing import Any

import h11

CHUNK_BYTES = 65_536
HEAD_BYTES_MAX = 65_536
WRITE_LIMIT_S = 600.0  # as long as the LLM server itself waits for a client that does not read

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect".split()
)

Headers = list[tuple[bytes, bytes]]


class Gone(Exception):
    """The other side went away, took too long, or speaks no HTTP."""


def passed_on(headers: Any) -> Headers:
    """What a proxy passes on: all but what concerns one connection only."""
    return [(name, value) for name, value in headers.raw_items() if name.lower() not in _HOP_BY_HOP]


def header(headers: Any, name: bytes) -> bytes:
    """The value of a header (name in lower case); empty when there is none."""
    return next((bytes(value) for key, value in headers if key == name), b"")


class Peer:
    """`role` is ours: h11.SERVER towards a client, h11.CLIENT towards a server."""

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

    async def wait_gone(self) -> None:
        """Return once the other side has closed; only between complete events.

        A client that closes its sending half counts as gone, as it does for the LLM server.
        What it sends meanwhile (its next request) is kept, and then it is not watched any more.
        """
        try:
            data = await self._reader.read(CHUNK_BYTES)
        except OSError:
            return
        if data:
            self.h11.receive_data(data)
            await asyncio.Event().wait()

    async def close(self, *, hard: bool = False) -> None:
        """Close the connection; `hard` drops what was not sent yet."""
        if hard:
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._writer.wait_closed()
