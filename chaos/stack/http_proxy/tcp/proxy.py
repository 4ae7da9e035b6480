"""A named TCP proxy: its address, its upstream, its toxics, its open connections."""

import asyncio
from typing import Any

from chaos.stack.http_proxy.serving import address, listen
from chaos.stack.http_proxy.tcp.toxics import Toxic
from chaos.stack.http_proxy.tcp.tunnel import Tunnel

CONNECTIONS_MAX = 1024
TOXICS_MAX = 32
CONNECT_LIMIT_S = 5.0


class TcpProxy:
    """For one event loop. `enable` and `disable` are idempotent."""

    def __init__(self, name: str, listen_at: str, upstream: str) -> None:
        """Raises `argparse.ArgumentTypeError` for a malformed address."""
        self.name = name
        self.listen_at = listen_at
        self.upstream = upstream
        self.toxics: dict[str, Toxic] = {}
        self._listen_address = address(listen_at)
        self._upstream_address = address(upstream)
        self._server: asyncio.Server | None = None
        self._tunnels: dict[asyncio.Task[None], Tunnel | None] = {}

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "listen": self.listen_at,
            "upstream": self.upstream,
            "enabled": self._server is not None,
            "toxics": [toxic.to_json() for toxic in self.toxics.values()],
        }

    async def enable(self) -> None:
        """Listen. Raises `chaos.stack.http_proxy.serving.CannotListen`."""
        if self._server is None:
            self._server = await listen(self._listen_address, self._serve)

    async def disable(self) -> None:
        """Stop listening, so that new connections are refused, and abort the open ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = list(self._tunnels)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, toxic: Toxic) -> None:
        self.toxics[toxic.name] = toxic
        for tunnel in self._tunnels.values():
            if tunnel is not None:
                tunnel.add(toxic)

    async def remove(self, name: str) -> None:
        """Remove the toxic `name`, which must be there."""
        toxic = self.toxics.pop(name)
        tunnels = [tunnel for tunnel in self._tunnels.values() if tunnel is not None]
        await asyncio.gather(*(tunnel.remove(toxic) for tunnel in tunnels))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._server is None or len(self._tunnels) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._tunnels[task] = None
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                server = await asyncio.open_connection(*self._upstream_address)
            tunnel = Tunnel((reader, writer), server, list(self.toxics.values()))
            self._tunnels[task] = tunnel
            await tunnel.carry()
        except (OSError, TimeoutError):
            writer.close()
        finally:
            del self._tunnels[task]
            if not writer.is_closing():
                writer.transport.abort()
