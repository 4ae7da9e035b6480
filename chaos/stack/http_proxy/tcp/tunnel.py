"""One connection through the TCP proxy: two directions, each with its chain of toxics.

As in Toxiproxy, the end of one direction closes the connection that it writes to, which then ends
the other direction.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterable

from chaos.stack.http_proxy.tcp.toxics import CHUNKS_MAX, Chunk, Chunks, Stage, Toxic

_CHUNK_BYTES = 32_768
_STAGES_MAX = 64  # stages of added toxics per connection; more close it
_FLUSH_LIMIT_S = 60.0
_LINGER_NONE = struct.pack("ii", 1, 0)  # closing sends a reset


class Link:
    """One direction: reads from one connection, writes to the other."""

    def __init__(
        self, source: asyncio.StreamReader, dest: asyncio.StreamWriter, toxics: Iterable[Toxic]
    ) -> None:
        self._source = source
        self._dest = dest
        self._tail: Chunks = asyncio.Queue(CHUNKS_MAX)
        self._stages: list[Stage] = []
        self._over = False
        for toxic in toxics:
            self.add(toxic)

    def add(self, toxic: Toxic) -> None:
        """Put a toxic before the others, for the data that is read from now on."""
        if self._over:
            return
        head = self._stages[-1].input if self._stages else self._tail
        self._stages.append(Stage(toxic, head))

    async def remove(self, name: str) -> None:
        for stage in self._stages:
            if stage.toxic is not None and stage.toxic.name == name:
                await stage.remove()

    async def carry(self) -> None:
        """Forward until the end of the source or of the destination; then close the latter."""
        reading = asyncio.ensure_future(self._read())
        try:
            await self._write()
        finally:
            self._over = True
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.gather(*(stage.end() for stage in self._stages))
            self._dest.close()

    async def _read(self) -> None:
        data = b"?"
        while data:
            try:
                data = await self._source.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            if len(self._stages) > _STAGES_MAX:
                data = b""
            head = self._stages[-1].input if self._stages else self._tail
            await head.put(Chunk(data, time.monotonic()) if data else None)

    async def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (chunk := await self._tail.get()) is not None:
                self._dest.write(chunk.data)
                await self._dest.drain()


class Tunnel:
    """A client's connection and the one to the server."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        toxics: list[Toxic],
    ) -> None:
        self._writers = (client[1], server[1])
        self._links = {
            "upstream": Link(client[0], server[1], _of(toxics, "upstream")),
            "downstream": Link(server[0], client[1], _of(toxics, "downstream")),
        }
        for toxic in toxics:
            self._prepare(toxic)

    def add(self, toxic: Toxic) -> None:
        self._links[toxic.stream].add(toxic)
        self._prepare(toxic)

    async def remove(self, toxic: Toxic) -> None:
        await self._links[toxic.stream].remove(toxic.name)

    async def carry(self) -> None:
        """Forward until both directions have ended and everything is sent."""
        try:
            await asyncio.gather(*(link.carry() for link in self._links.values()))
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_FLUSH_LIMIT_S):
                    for writer in self._writers:
                        await writer.wait_closed()
        finally:
            for writer in self._writers:
                writer.transport.abort()

    def _prepare(self, toxic: Toxic) -> None:
        if toxic.type != "reset_peer":
            return
        for writer in self._writers:
            link = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)


def _of(toxics: list[Toxic], stream: str) -> list[Toxic]:
    return [toxic for toxic in toxics if toxic.stream == stream]
