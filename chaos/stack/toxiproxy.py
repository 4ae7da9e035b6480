"""The client of Toxiproxy: the only module that uses the library toxiproxy-python.

The library has three defects, which are corrected here: its HTTP calls have no timeout (the API may
hang with live connections), the address is a class attribute, and status 500 counts as a success.
Knows nothing of faults.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from toxiproxy import Toxiproxy
from toxiproxy import api as library_api
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from toxiproxy.proxy import Proxy as LibraryProxy

from chaos.base.errors import EnvironmentProblem
from chaos.record.target import Target
from chaos.stack.base import Endpoint, Link

CALL_LIMIT_S = 2.0


class ProxyProblem(EnvironmentProblem):
    """The proxy does not answer, or refuses a call: never a fault of the Watcher."""


class _LimitedRequests:
    """Replaces the module `requests` within the library; every call has a time limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy variable must not redirect loopback calls
        self._session.headers["Connection"] = (
            "close"  # no stale connection after a restart of the server
        )

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        return self._call("GET", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        return self._call("POST", url, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> requests.Response:
        return self._call("DELETE", url, **kwargs)

    def _call(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        response = self._session.request(method, url, timeout=self._limit_s, **kwargs)
        if response.status_code >= 500:
            raise requests.HTTPError(f"{response.status_code}: {response.text[:200]}")
        return response


class ToxiproxyClient:
    """One named proxy on one Toxiproxy server. Thread-safe.

    Each HTTP request of a call ends within `limit_s` or raises `ProxyProblem`.
    """

    # The library has one address per process, so calls of all clients exclude each other.
    _library_lock = threading.Lock()

    def __init__(self, api: Endpoint, *, name: str = "llm", limit_s: float = CALL_LIMIT_S) -> None:
        self.api = api
        self.name = name
        self._requests = _LimitedRequests(limit_s)

    def create(self, listen: Endpoint, upstream: Endpoint) -> None:
        """Create the proxy, enabled and without toxics; it replaces one with the same name."""
        with self._library() as server:
            old = server.get_proxy(self.name)
            if old is not None:
                server.destroy(old)
            server.create(name=self.name, listen=str(listen), upstream=str(upstream), enabled=True)

    def reset(self) -> None:
        with self._library() as server:
            server.reset()

    def add_toxic(
        self, name: str, kind: str, attributes: dict[str, Any], *, stream: str = "downstream"
    ) -> None:
        """Add a toxic with toxicity 1.0, because only our seeded schedule may be random."""
        with self._proxy() as proxy:
            proxy.add_toxic(
                name=name, type=kind, stream=stream, toxicity=1.0, attributes=attributes
            )

    def remove_toxic(self, name: str) -> None:
        with self._proxy() as proxy:
            try:
                proxy.destroy_toxic(name)
            except NotFound:
                return

    def toxics(self) -> list[str]:
        with self._proxy() as proxy:
            return sorted(proxy.toxics())

    def set_enabled(self, enabled: bool) -> None:
        with self._proxy() as proxy:
            if enabled:
                proxy.enable()
            else:
                proxy.disable()

    def version(self) -> str:
        with self._library():
            # Not Toxiproxy.version(): it opens a connection without a limit first.
            answer = library_api.APIConsumer.get("/version")
            version: str = answer.json()["version"]
            return version

    @contextmanager
    def _proxy(self) -> Iterator[LibraryProxy]:
        with self._library():
            # A handle without its values is enough, and saves a request per call.
            yield LibraryProxy(name=self.name, upstream="", listen="", enabled=True)

    @contextmanager
    def _library(self) -> Iterator[Toxiproxy]:
        with self._library_lock:
            server = Toxiproxy()
            server.update_api_consumer(self.api.host, self.api.port)
            library_api.requests = self._requests
            try:
                yield server
            except requests.Timeout as error:
                raise self._problem("does not answer in time") from error
            except requests.HTTPError as error:
                raise self._problem(f"failed: {error}") from error
            except requests.ConnectionError as error:
                raise self._problem("is not there") from error
            except (ProxyExists, NotFound, InvalidToxic) as error:
                raise self._problem(f"refused: {error}") from error
            except (requests.RequestException, ValueError, KeyError, TypeError) as error:
                raise self._problem(f"gave an answer that makes no sense: {error!r}") from error

    def _problem(self, what: str) -> ProxyProblem:
        return ProxyProblem(
            f"the Toxiproxy API at {self.api} {what}", next_step="see logs/proxy.log of the run"
        )


def create_links(target: Target) -> dict[str, Link]:
    """A proxy for each further link of the target."""
    links = {}
    for name, spec in target.links.items():
        client = ToxiproxyClient(Endpoint.parse(target.llm.proxy_api), name=name)
        proxied, direct = Endpoint.parse(spec.endpoint), Endpoint.parse(spec.upstream)
        client.create(proxied, direct)
        links[name] = Link(proxied, direct, client, spec.probe)
    return links
