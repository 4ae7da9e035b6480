"""Rules of the system-call witness: calls of the daemon that fail, come late, or are its last."""

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.base.errors import EnvironmentProblem
from chaos.stack.base import RuleState

_ANSWER_LIMIT_S = 5.0
_ANSWER_BYTES_MAX = 64 << 10


class WitnessProblem(EnvironmentProblem):
    """The system-call witness does not answer, or refuses a rule."""


class SystemCallRules:
    """Sets rules of the system-call witness behind `door`; see `chaos.stack.base.CallRules`.

    Each rule has a connection of its own: the witness drops it when that closes. Thread-safe.
    """

    def __init__(self, door: Path, record: Path) -> None:
        self.record = record
        self._door = door
        self._links: dict[str, socket.socket] = {}
        self._lock = threading.Lock()

    def put(self, rule_id: str, rule: Mapping[str, Any]) -> None:
        link = self._connected()
        try:
            self._ask(link, {"rule": {**rule, "id": rule_id}})
        except WitnessProblem:
            link.close()
            raise
        with self._lock:
            self._links[rule_id] = link

    def remove(self, rule_id: str) -> RuleState | None:
        with self._lock:
            link = self._links.pop(rule_id, None)
        if link is None:
            return None
        try:
            with link:
                link.shutdown(socket.SHUT_WR)
                answer = json.loads(link.recv(_ANSWER_BYTES_MAX) or "{}")
        except (OSError, ValueError) as error:
            raise self._problem(f"does not answer: {error}") from error
        gone = answer.get("gone")  # not there if the witness is dead
        return RuleState(*gone) if gone else None

    def rules(self) -> dict[str, RuleState]:
        with self._connected() as link:
            return self._ask(link, {})

    def _connected(self) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(_ANSWER_LIMIT_S)
        try:
            link.connect(str(self._door))
        except OSError as error:
            link.close()
            raise self._problem(str(error)) from error
        return link

    def _ask(self, link: socket.socket, message: Mapping[str, Any]) -> dict[str, RuleState]:
        try:
            link.send(json.dumps(message).encode())
            answer = json.loads(link.recv(_ANSWER_BYTES_MAX))
        except (OSError, ValueError) as error:
            raise self._problem(f"does not answer: {error}") from error
        if "error" in answer:
            raise self._problem(answer["error"])
        states: dict[str, list[int]] = answer["rules"]
        return {name: RuleState(*state) for name, state in states.items()}

    def _problem(self, what: str) -> WitnessProblem:
        return WitnessProblem(
            f"the system-call witness at {self._door}: {what}",
            next_step="see logs/witness.log of the run",
        )
