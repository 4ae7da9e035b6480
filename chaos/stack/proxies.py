"""The programs of the wire as a stack uses them: how they are started, and the rules' client.

Every call to the wire proxy ends within its time limit; one that fails is infrastructure, never
the product. Knows nothing of faults.
"""

import sys
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import Endpoint, RuleState
from chaos.stack.http_client import NoAnswer, call

CALL_LIMIT_S = 2.0


class WireProblem(EnvironmentProblem):
    """The wire proxy does not answer, or refuses: infrastructure, never the product."""


def proxy_argv(toxiproxy: Path | None, api: Endpoint) -> list[str]:
    """The TCP proxy: the Toxiproxy binary, or without one the proxy of last resort."""
    if toxiproxy is not None:
        return [str(toxiproxy), "-host", api.host, "-port", str(api.port)]
    return [sys.executable, "-m", "chaos.stack.http_proxy.tcp", "--api", str(api)]


def wire_argv(listen: Endpoint, upstream: Endpoint, control: Endpoint) -> list[str]:
    """The wire proxy."""
    return [
        *(sys.executable, "-m", "chaos.stack.http_proxy", "--listen", str(listen)),
        *("--upstream", str(upstream), "--control", str(control)),
    ]


class WireControl:
    """Sets rules on one wire proxy; see `chaos.stack.base.Wire`. Safe to use from threads."""

    def __init__(self, control: Endpoint, *, limit_s: float = CALL_LIMIT_S) -> None:
        self.control = control
        self._limit_s = limit_s

    def put(
        self, rule_id: str, kind: str, params: dict[str, Any], match: dict[str, Any] | None = None
    ) -> None:
        body = {"id": rule_id, "kind": kind, "params": params, "match": match or {}}
        self._call("PUT", "/rule", body)

    def remove(self, rule_id: str) -> None:
        self._call("DELETE", f"/rule/{rule_id}")

    def rules(self) -> dict[str, RuleState]:
        answer = self._call("GET", "/rules")
        try:
            return {
                str(rule["id"]): RuleState(int(rule["seen"]), int(rule["struck"]))
                for rule in answer["rules"]
            }
        except (KeyError, TypeError, ValueError) as error:
            raise self._problem(f"gave an answer that makes no sense: {error!r}") from error

    def stats(self) -> dict[str, int]:
        """Counters of the proxy. Raises `WireProblem` while it is not up."""
        answer = self._call("GET", "/stats")
        try:
            return {str(name): int(value) for name, value in answer.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise self._problem(f"gave an answer that makes no sense: {error!r}") from error

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = call(self.control, method, path, body, timeout_s=self._limit_s)
        except NoAnswer as error:
            what = "does not answer in time" if error.timed_out else f"is not there: {error}"
            raise self._problem(what) from error
        if answer.status != 200:
            said = answer.body[:200].decode(errors="replace")
            raise self._problem(f"refused: {answer.status} {said}")
        try:
            return answer.json()
        except ValueError as error:
            raise self._problem(f"gave an answer that makes no sense: {error}") from error

    def _problem(self, what: str) -> WireProblem:
        return WireProblem(
            f"the wire proxy's control API at {self.control} {what}",
            next_step="see logs/wire.log of the run",
        )
