"""The outside end of the channel: one `docker exec` in the pod, its streams, and who answers.

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
from chaos.stack.docker.pod import Pod, operations

_STDOUT = 1
_LOOK_S = 0.2
_SAID_BYTES_MAX = 4000
_SEND_LIMIT_S = 10.0
_KILL_AGAIN_S = 5.0
_EXIT_LIMIT_S = 10.0
_KILLED_END_LIMIT_S = 30.0  # then the stream is left, though the engine has not ended it


class ExecStream:
    """One exec with its streams attached. `serve` belongs to one thread."""

    def __init__(self, client: DockerClient, container: str, argv: Sequence[str]) -> None:
        self._client = client
        with problems_of("starting the harness in the pod"):
            made = client.api.exec_create(container, list(argv), stdin=True)
            self._id = made["Id"]
            opened = client.api.exec_start(self._id, socket=True)
        # A plain connection is wrapped for reading; what can be written to is below it.
        self._file = opened
        self._socket = cast("socket.socket", getattr(opened, "_sock", opened))
        self._socket.settimeout(_SEND_LIMIT_S)  # reading waits for data beforehand
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
        """Answer what the harness asks until it ends, or the engine does.

        `signals`: those that the user sent, a list that grows; each is handed on once. `hurried`
        tells when to end the pod.
        """
        can = operations(pod)
        lines = Lines()

        def handle(line: bytes) -> None:
            asked = json.loads(line)
            act = can[asked["op"]]
            self._send(answer_to(asked["id"], lambda: act(asked["args"])))

        signals_sent = 0
        end = _End(pod)
        while not end.over():
            if hurried():
                end.hasten()
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
                self._hear(piece)

    def exit_code(self) -> int | None:
        """How the harness ended; None where the engine cannot tell.

        Its streams end first, and the engine may learn of its end a moment later.
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
        """The end of what it wrote to standard error."""
        return self._said.decode(errors="replace").strip()

    def _hear(self, piece: bytes) -> None:
        self._said.extend(piece)
        del self._said[:-_SAID_BYTES_MAX]

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError), self._lock:  # nobody reads any more: `serve` sees the end
            self._socket.sendall(json.dumps(message).encode() + b"\n")


class _End:
    """The pod ended by force, again and again until it is, for a limited time."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._over_s = math.inf
        self._next_s = 0.0

    def hasten(self) -> None:
        """Kill it now, unless that was just tried."""
        now_s = time.monotonic()
        self._over_s = min(self._over_s, now_s + _KILLED_END_LIMIT_S)
        if now_s >= self._next_s:
            self._pod.kill()
            self._next_s = time.monotonic() + _KILL_AGAIN_S

    def over(self) -> bool:
        return time.monotonic() > self._over_s
