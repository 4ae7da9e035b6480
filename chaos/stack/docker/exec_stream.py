"""The outside end of the channel: one `docker exec` in the pod, its streams, and the answers.

The engine sends standard output and standard error of an exec in frames over one connection
(Docker Engine API, "Attach to a container", stream format). Knows the channel and the pod.
"""

import json
import math
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, cast

from docker import DockerClient
from docker.utils.socket import SocketError, next_frame_header, read_exactly

from chaos.stack.docker.channel import Lines, answer_to
from chaos.stack.docker.engine import ERRORS, problems_of
from chaos.stack.docker.pod import OPERATIONS, Pod

_STDOUT = 1
_LOOK_S = 0.2
_SAID_BYTES_MAX = 4000
_SEND_LIMIT_S = 10.0
_KILL_AGAIN_S = 5.0
_EXIT_LIMIT_S = 10.0
_KILLED_END_LIMIT_S = 30.0  # after a kill, leave the stream even if the engine has not ended it


class ExecStream:
    """One exec with its streams attached. `serve` belongs to one thread."""

    def __init__(self, client: DockerClient, container: str, argv: Sequence[str]) -> None:
        self._client = client
        with problems_of("starting the harness in the pod"):
            made = client.api.exec_create(container, list(argv), stdin=True)
            self._id = made["Id"]
            opened = client.api.exec_start(self._id, socket=True)
        # A plain connection is wrapped for reading; the socket for writing is inside.
        self._file = opened
        self._socket = cast("socket.socket", getattr(opened, "_sock", opened))
        self._socket.settimeout(_SEND_LIMIT_S)  # for sending: a read follows a `select`
        self._lock = threading.Lock()
        self._said = bytearray()

    def serve(
        self,
        pod: Pod,
        workers: Executor,
        *,
        signals: Sequence[str] = (),
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """Answer the calls of the harness until it or the engine ends.

        `signals`: names of the signals that the user sent, a list that grows; each is forwarded
        once. `hurried`: True as soon as the pod must be killed.
        """
        lines = Lines()

        def handle(line: bytes) -> None:
            call = json.loads(line)

            def act() -> dict[str, Any]:
                if call["op"] not in OPERATIONS:
                    raise ValueError(f"unknown operation {call['op']!r}")
                result: dict[str, Any] = getattr(pod, call["op"])(**call["args"])
                return result

            self._send(answer_to(call["id"], act))

        signals_sent = 0
        kill = _Kill(pod)
        while not kill.given_up():
            if hurried():
                kill.attempt()
            for name in signals[signals_sent:]:
                self._send({"signal": name})
                signals_sent += 1
            if not select.select([self._socket], [], [], _LOOK_S)[0]:
                continue
            try:
                kind, size = next_frame_header(self._file)
                piece = read_exactly(self._file, size) if size > 0 else b""
            except (OSError, SocketError):  # the engine is gone
                return
            if size < 0:
                return
            if kind == _STDOUT:
                for line in lines.feed(piece):
                    workers.submit(handle, line)
            else:
                self._said.extend(piece)
                del self._said[:-_SAID_BYTES_MAX]

    def exit_code(self) -> int | None:
        """Exit code of the harness; None if the engine does not report it.

        The streams end first; the engine may notice the exit a moment later.
        """
        deadline_s = time.monotonic() + _EXIT_LIMIT_S
        while True:
            try:
                code = self._client.api.exec_inspect(self._id)["ExitCode"]
            except ERRORS:
                return None
            if code is not None:
                return int(code)
            if time.monotonic() > deadline_s:
                return None
            time.sleep(_LOOK_S)

    def said(self) -> str:
        """The end of the harness's standard error."""
        return self._said.decode(errors="replace").strip()

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError), self._lock:  # after the end, which `serve` notices
            self._socket.sendall(json.dumps(message).encode() + b"\n")


class _Kill:
    """Kills the pod, repeatedly until it ends, for a limited time."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._give_up_s = math.inf
        self._next_s = 0.0

    def attempt(self) -> None:
        """Kill the pod now, unless that was just tried."""
        now_s = time.monotonic()
        self._give_up_s = min(self._give_up_s, now_s + _KILLED_END_LIMIT_S)
        if now_s >= self._next_s:
            self._pod.kill()
            self._next_s = time.monotonic() + _KILL_AGAIN_S

    def given_up(self) -> bool:
        return time.monotonic() > self._give_up_s
