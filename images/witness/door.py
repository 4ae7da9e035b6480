"""The Unix socket of a supervisor: it takes listeners over, and rules.

A process that is to be watched sends `PID NAME` with its listener (enter.py) and gets `watched`.
Who wants to change calls sends one JSON object a message, and gets one for each:

    {"rule": {"id": ..., "service": ..., "call": ..., "action": ..., ...}}     see `rules.Rule`
    {}                                                                         asks only

The answer is `{"rules": {ID: [SEEN, STRUCK]}}`, all rules in force, or `{"error": WHY}`. A rule
lives as long as the connection that brought it; who only shuts down its sending side gets
`{"gone": [SEEN, STRUCK]}`, the last counters.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from rules import BadRule
from supervisor import Supervisor

_MESSAGE_BYTES = 4096
_ANSWER_BYTES_MAX = 64 << 10
_FIRST_MESSAGE_LIMIT_S = 5.0


class Door:
    """Listens at `path`, and hands listeners and rules to the supervisor.

    The socket gets that name once it listens: who sees it can connect.
    """

    def __init__(self, path: Path, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        unready = f"{path}~"
        self._socket.bind(unready)
        self._socket.listen(16)
        Path(unready).rename(path)
        supervisor.also(self._socket.fileno(), self._admit)

    def _admit(self) -> None:
        link, _ = self._socket.accept()
        link.settimeout(_FIRST_MESSAGE_LIMIT_S)
        try:
            message, descriptors, _, _ = socket.recv_fds(link, _MESSAGE_BYTES, 4)
        except OSError:
            link.close()
            return
        if message.startswith(b"{") and not descriptors:
            link.setblocking(False)
            self._supervisor.also(link.fileno(), lambda: self._read(link))
            self._answer(link, message)
            return
        with link:
            self._watch(link, message, descriptors)

    def _watch(self, link: socket.socket, message: bytes, descriptors: list[int]) -> None:
        pid, _, name = message.decode(errors="replace").partition(" ")
        if len(descriptors) == 1 and pid.isdecimal():
            self._supervisor.watch(descriptors[0], name, int(pid))
            link.send(b"watched")
            return
        for descriptor in descriptors:
            os.close(descriptor)

    def _read(self, link: socket.socket) -> None:
        """A message of a connection that asks for rules, or its end."""
        try:
            message = link.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._answer(link, message)
            return
        rule = self._supervisor.no_longer(link.fileno())
        self._send(link, {"gone": [rule.seen, rule.struck] if rule else None})
        link.close()

    def _answer(self, link: socket.socket, message: bytes) -> None:
        self._send(link, self._asked(link.fileno(), message))

    def _send(self, link: socket.socket, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has gone: its rule goes when its end is read
            link.send(json.dumps(answer).encode()[:_ANSWER_BYTES_MAX])

    def _asked(self, link: int, message: bytes) -> dict[str, Any]:
        rules = self._supervisor.rules
        try:
            asked = json.loads(message)
            if "rule" in asked:
                rules.put(link, asked["rule"])
        except (BadRule, ValueError, TypeError, RecursionError) as error:
            return {"error": str(error)}
        return {"rules": rules.states()}
