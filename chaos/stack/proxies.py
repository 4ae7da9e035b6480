"""The commands of the TCP proxy and the wire proxy, and the client of the wire proxy's API.

Each call ends within its time limit. A failed call is a problem of the infrastructure, never of the
Watcher. Knows nothing of faults.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint, RuleState
from chaos.stack.http_client import NoAnswer, call
from chaos.stack.llm_api import Form

CALL_LIMIT_S = 2.0
T = TypeVar("T")


class WireProblem(EnvironmentProblem):
    """The wire proxy does not answer, or refuses a call."""


def proxy_argv(toxiproxy: Path | None, api: Endpoint) -> list[str]:
    """The command of the TCP proxy: Toxiproxy, or without it the built-in one."""
    if toxiproxy is not None:
        return [str(toxiproxy), "-host", api.host, "-port", str(api.port)]
    return [sys.executable, "-m", "chaos.stack.http_proxy.tcp", "--api", str(api)]


def wire_argv(listen: Endpoint, upstream: Endpoint, control: Endpoint) -> list[str]:
    """The command of the wire proxy."""
    return [
        *(sys.executable, "-m", "chaos.stack.http_proxy", "--listen", str(listen)),
        *("--upstream", str(upstream), "--control", str(control)),
    ]


class WireControl:
    """Sets rules on one wire proxy; see `chaos.stack.base.Wire`. Thread-safe."""

    def __init__(self, control: Endpoint, *, limit_s: float = CALL_LIMIT_S) -> None:
        self.control = control
        self._limit_s = limit_s

    def put(
        self, rule_id: str, kind: str, params: dict[str, Any], match: dict[str, Any] | None = None
    ) -> None:
        body = {"id": rule_id, "kind": kind, "params": params, "match": match or {}}
        self._call("PUT", "/rule", dict, body)

    def remove(self, rule_id: str) -> None:
        self._call("DELETE", f"/rule/{rule_id}", dict)

    def rules(self) -> dict[str, RuleState]:
        return self._call("GET", "/rules", _rule_states)

    def asked(self) -> dict[Form, int]:
        return self._call("GET", "/asked", _forms)

    def stats(self) -> dict[str, int]:
        """Counters of the proxy. Raises `WireProblem` while it is not up."""
        return self._call("GET", "/stats", _counters)

    def _call(self, method: str, path: str, parse: Callable[[Any], T], body: Any = None) -> T:
        try:
            answer = call(self.control, method, path, body, timeout_s=self._limit_s)
        except NoAnswer as error:
            what = "does not answer in time" if error.timed_out else f"is not there: {error}"
            raise self._problem(what) from error
        if answer.status != 200:
            said = answer.body[:200].decode(errors="replace")
            raise self._problem(f"refused: {answer.status} {said}")
        try:
            return parse(answer.json())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._problem(f"gave an answer that makes no sense: {error!r}") from error

    def _problem(self, what: str) -> WireProblem:
        return WireProblem(
            f"the wire proxy's control API at {self.control} {what}",
            next_step="see logs/wire.log of the run",
        )


def _rule_states(answer: Any) -> dict[str, RuleState]:
    return {
        str(rule["id"]): RuleState(
            *(int(rule[name]) for name in ("seen", "struck", "missed", "probes_struck"))
        )
        for rule in answer["rules"]
    }


def _forms(answer: Any) -> dict[Form, int]:
    return {
        Form(str(one["path"]), bool(one["stream"]), bool(one["tools"])): int(one["count"])
        for one in answer["asked"]
    }


def _counters(answer: Any) -> dict[str, int]:
    return {str(name): int(value) for name, value in answer.items()}
