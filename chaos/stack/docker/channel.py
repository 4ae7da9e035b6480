"""The protocol between the harness inside the pod and the conductor outside.

JSON lines over the standard streams of one `docker exec`. That needs no port, no socket of the
engine in the pod, and no clean-up: when either side dies, the other reads the end of its stream.

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
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, BinaryIO

from loguru import logger

from chaos.base.errors import EnvironmentProblem

LINE_BYTES_MAX = 1_000_000
_ANSWER_SLACK_S = 5.0


class ConductorDefect(Exception):
    """The conductor itself failed: a defect of the harness, not of the machine."""


class Outside:
    """The inside end: calls the conductor. Thread-safe.

    `on_signal` gets the name of a signal that the user sent. `on_gone` is called once when the
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
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self.gone = threading.Event()
        threading.Thread(target=self._read, name="outside", daemon=True).start()

    def call(self, op: str, limit_s: float, **args: Any) -> dict[str, Any]:
        """The result of operation `op`.

        Raises `EnvironmentProblem` if the operation failed, if no answer came, or if the conductor
        is gone; `ConductorDefect` if the conductor itself failed.
        """
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = answer
        try:
            self._send({"id": number, "op": op, "args": args})
            if self.gone.is_set():  # perhaps before the answer was registered
                raise _Gone
            return answer.result(limit_s + _ANSWER_SLACK_S)
        except _Gone:
            raise EnvironmentProblem("the conductor outside the pod is gone", place=op) from None
        except TimeoutError:
            text = f"the conductor outside the pod gave no answer in {limit_s:g} s"
            raise EnvironmentProblem(text, place=op) from None
        except ConductorDefect as defect:
            raise ConductorDefect(f"{op}: {defect}") from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                self._writer.write(line)
                self._writer.flush()
        except (OSError, ValueError):  # the conductor has closed its end
            self._end()

    def _read(self) -> None:
        try:
            # A conductor that was killed may leave a line without its end.
            while (line := self._reader.readline(LINE_BYTES_MAX)).endswith(b"\n"):
                self._take(json.loads(line))
        except (OSError, ValueError, TypeError, KeyError):
            logger.exception("the conductor sent an unreadable message")
        finally:
            self._end()

    def _take(self, message: dict[str, Any]) -> None:
        if "signal" in message:
            self._on_signal(str(message["signal"]))
            return
        with self._lock:
            answer = self._waiting.get(message["id"])
        if answer is None:
            return
        with suppress(InvalidStateError):  # it was answered already
            if message.get("defect") is not None:
                answer.set_exception(ConductorDefect(message["defect"]))
            elif message.get("error") is not None:
                answer.set_exception(EnvironmentProblem(**message["error"]))
            else:
                answer.set_result(message["result"])

    def _end(self) -> None:
        with self._lock:
            first = not self.gone.is_set()
            self.gone.set()
            waiting = list(self._waiting.values())
        for answer in waiting:
            with suppress(InvalidStateError):  # it was answered just before the end
                answer.set_exception(_Gone())
        if first:
            self._on_gone()


class _Gone(Exception):
    """The conductor ended before it answered."""


def answer_to(number: int, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The conductor's message: the result of `act`, or the problem that it raises."""
    try:
        return {"id": number, "result": act()}
    except EnvironmentProblem as problem:
        problem_fields = {
            "message": problem.message,
            "place": problem.place,
            "next_step": problem.next_step,
        }
        return {"id": number, "error": problem_fields}
    except Exception as error:  # a defect of the conductor: the caller must get an answer
        logger.exception("the conductor failed")
        return {"id": number, "defect": f"a defect of the conductor: {error!r}"}


class Lines:
    """Assembles whole lines from the pieces of a stream. A line is cut at the size limit."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes, without their newlines."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            whole, self._rest = [*whole, self._rest], b""
        return whole
