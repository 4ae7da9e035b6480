"""What the harness inside the pod and the conductor outside say to each other.

JSON lines over the standard streams of one `docker exec`, so that it works wherever the engine
does and needs no port, no socket of the engine in the pod, and no clean-up: when either side dies,
the other reads the end of its stream.

    inside -> outside   {"id": 7, "op": "start", "args": {"service": "watcher"}}
    outside -> inside   {"id": 7, "result": {...}}    or    {"id": 7, "error": {...}}
                        or    {"id": 7, "defect": "..."}
    outside -> inside   {"signal": "SIGINT"}

Knows nothing of what the operations do.
"""

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from loguru import logger

from chaos.base.errors import EnvironmentProblem

LINE_BYTES_MAX = 1_000_000
_ANSWER_SLACK_S = 5.0


class ConductorDefect(Exception):
    """The conductor itself failed: a defect of the harness, not of the machine."""


class Outside:
    """The inside end: asks the conductor, from any thread.

    `on_signal` gets the name of a signal that the user sent; `on_gone` is called once when the
    conductor is gone. Both run in the reading thread.
    """

    def __init__(
        self,
        reader: BinaryIO,
        writer: BinaryIO,
        *,
        on_signal: Callable[[str], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_signal = on_signal
        self._on_gone = on_gone
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, _Answer] = {}
        self.gone = threading.Event()
        threading.Thread(target=self._read, name="outside", daemon=True).start()

    def call(self, op: str, limit_s: float, **args: Any) -> dict[str, Any]:
        """The result of `op`.

        Raises `EnvironmentProblem` for its failure or for no answer, `ConductorDefect`.
        """
        answer = _Answer()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = answer
        try:
            self._send({"id": number, "op": op, "args": args})
            if self.gone.is_set() or not answer.there.wait(limit_s + _ANSWER_SLACK_S):
                what = "is gone" if self.gone.is_set() else f"gave no answer in {limit_s:g} s"
                raise EnvironmentProblem(f"the conductor outside the pod {what}", place=op)
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if answer.defect is not None:
            raise ConductorDefect(f"{op}: {answer.defect}")
        if answer.error is not None:
            raise EnvironmentProblem(**answer.error)
        if answer.result is None:
            raise EnvironmentProblem("the conductor outside the pod is gone", place=op)
        return answer.result

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                self._writer.write(line)
                self._writer.flush()
        except (OSError, ValueError):  # nobody reads any more
            self._end()

    def _read(self) -> None:
        try:
            # A line without an end is what a conductor that was killed has left.
            while (line := self._reader.readline(LINE_BYTES_MAX)).endswith(b"\n"):
                self._take(json.loads(line))
        except (OSError, ValueError, TypeError, KeyError):
            logger.exception("what the conductor says cannot be read")
        finally:
            self._end()

    def _take(self, message: dict[str, Any]) -> None:
        if "signal" in message:
            self._on_signal(str(message["signal"]))
            return
        with self._lock:
            answer = self._waiting.get(message["id"])
        if answer is not None:
            answer.result, answer.error = message.get("result"), message.get("error")
            answer.defect = message.get("defect")
            answer.there.set()

    def _end(self) -> None:
        with self._lock:
            first = not self.gone.is_set()
            self.gone.set()
            waiting = list(self._waiting.values())
        for answer in waiting:
            answer.there.set()
        if first:
            self._on_gone()


class _Answer:
    def __init__(self) -> None:
        self.there = threading.Event()
        self.result: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.defect: str | None = None


def answer_to(number: int, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The conductor's message for what `act` gives, or for the problem that it raises."""
    try:
        return {"id": number, "result": act()}
    except EnvironmentProblem as problem:
        problem_fields = {
            "message": problem.message,
            "place": problem.place,
            "next_step": problem.next_step,
        }
        return {"id": number, "error": problem_fields}
    except Exception as error:  # a defect of the conductor: the caller must not wait in vain
        logger.exception("the conductor failed")
        return {"id": number, "defect": f"a defect of the conductor: {error!r}"}


class Lines:
    """Whole lines out of pieces of a stream; a line longer than the limit is cut there."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes, without their ends."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            whole, self._rest = [*whole, self._rest], b""
        return whole
