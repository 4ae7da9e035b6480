"""The part of Toxiproxy's HTTP API that the harness uses: proxies, toxics, version, reset."""

import argparse
from typing import Any

from chaos.base.version import __version__
from chaos.stack.http_proxy.serving import CannotListen
from chaos.stack.http_proxy.tcp.proxy import TOXICS_MAX, TcpProxy
from chaos.stack.http_proxy.tcp.toxics import BadToxic, parse_toxic

VERSION = f"builtin {__version__}"
PROXIES_MAX = 64

Answer = tuple[int, Any]


class Api:
    """A `Route` whose errors have Toxiproxy's keys: `error` and `status`."""

    def __init__(self) -> None:
        self._proxies: dict[str, TcpProxy] = {}

    async def route(self, method: str, path: str, body: Any) -> Answer:
        try:
            return await self._route(method, path, body)
        except (BadToxic, argparse.ArgumentTypeError) as error:
            return _error(400, str(error))
        except CannotListen as error:
            return _error(500, str(error))

    async def _route(self, method: str, path: str, body: Any) -> Answer:
        parts = path.strip("/").split("/")
        if (method, parts) == ("GET", ["version"]):
            return 200, {"version": VERSION}
        if (method, parts) == ("POST", ["reset"]):
            return await self._reset()
        if parts == ["proxies"]:
            return await self._proxies_call(method, body)
        if len(parts) < 2 or parts[0] != "proxies":
            return _error(404, "no such call")
        proxy = self._proxies.get(parts[1])
        if proxy is None:
            return _error(404, "proxy not found")
        if len(parts) == 2:
            return await self._proxy_call(method, proxy, body)
        if parts[2] == "toxics" and len(parts) == 3:
            return self._toxics_call(method, proxy, body)
        if parts[2] == "toxics" and len(parts) == 4:
            return await self._toxic_call(method, proxy, parts[3])
        return _error(404, "no such call")

    async def end(self) -> None:
        for proxy in self._proxies.values():
            await proxy.disable()

    async def _reset(self) -> Answer:
        for proxy in self._proxies.values():
            for name in list(proxy.toxics):
                await proxy.remove(name)
            await proxy.enable()
        return 204, None

    async def _proxies_call(self, method: str, body: Any) -> Answer:
        if method == "GET":
            return 200, {name: proxy.to_json() for name, proxy in self._proxies.items()}
        if method != "POST":
            return _error(405, "GET or POST is needed")
        if not isinstance(body, dict) or not all(
            isinstance(body.get(key), str) and body[key] and "/" not in body[key]
            for key in ("name", "listen", "upstream")
        ):
            return _error(400, "missing required field: name, listen, upstream")
        if body["name"] in self._proxies:
            return _error(409, "proxy already exists")
        if len(self._proxies) >= PROXIES_MAX:
            return _error(400, f"there are {PROXIES_MAX} proxies already")
        proxy = TcpProxy(body["name"], body["listen"], body["upstream"])
        if body.get("enabled", True):
            await proxy.enable()
        self._proxies[proxy.name] = proxy
        return 201, proxy.to_json()

    async def _proxy_call(self, method: str, proxy: TcpProxy, body: Any) -> Answer:
        if method == "DELETE":
            del self._proxies[proxy.name]
            await proxy.disable()
            return 204, None
        if method in ("POST", "PATCH"):
            enabled = body.get("enabled") if isinstance(body, dict) else None
            if not isinstance(enabled, bool):
                return _error(400, "only `enabled` can be changed here, to true or false")
            await (proxy.enable() if enabled else proxy.disable())
        return 200, proxy.to_json()

    def _toxics_call(self, method: str, proxy: TcpProxy, body: Any) -> Answer:
        if method == "GET":
            return 200, [toxic.to_json() for toxic in proxy.toxics.values()]
        if method != "POST":
            return _error(405, "GET or POST is needed")
        toxic = parse_toxic(body)
        if toxic.name in proxy.toxics:
            return _error(409, "toxic already exists")
        if len(proxy.toxics) >= TOXICS_MAX:
            return _error(400, f"there are {TOXICS_MAX} toxics already")
        proxy.add(toxic)
        return 200, toxic.to_json()

    async def _toxic_call(self, method: str, proxy: TcpProxy, name: str) -> Answer:
        if name not in proxy.toxics:
            return _error(404, "toxic not found")
        if method == "DELETE":
            await proxy.remove(name)
            return 204, None
        if method == "GET":
            return 200, proxy.toxics[name].to_json()
        return _error(405, "GET or DELETE is needed: remove it and add it anew")


def _error(status: int, message: str) -> Answer:
    return status, {"error": message, "status": status}
