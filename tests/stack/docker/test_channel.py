"""The two ends of the channel, over pipes: answers, refusals, defects, signals, and its end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chaos.base.errors import ChaosError, EnvironmentProblem
from chaos.stack.docker.channel import LINE_BYTES_MAX, ConductorDefect, Lines, Outside, answer_to


class Ends:
    """An inside end, and what a conductor has: its questions, and a way to write to it."""

    def __init__(self) -> None:
        self._asked_read, asked = os.pipe()
        told_read, self._told = os.pipe()
        self.signals: list[str] = []
        self.gone = threading.Event()
        self.outside = Outside(
            os.fdopen(told_read, "rb"),
            os.fdopen(asked, "wb"),
            on_signal=self.signals.append,
            on_gone=self.gone.set,
        )
        self._asked = os.fdopen(self._asked_read, "rb")

    def question(self) -> dict[str, Any]:
        """The next one, as the conductor reads it."""
        asked: dict[str, Any] = json.loads(self._asked.readline())
        return asked

    def tell(self, message: dict[str, Any]) -> None:
        os.write(self._told, json.dumps(message).encode() + b"\n")

    def tell_raw(self, raw: bytes) -> None:
        os.write(self._told, raw)

    def close(self) -> None:
        """The conductor dies."""
        os.close(self._told)


def answered(ends: Ends, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ends.outside.call, "state", 5.0, service="watcher")
        asked = ends.question()
        assert (asked["op"], asked["args"]) == ("state", {"service": "watcher"})
        ends.tell(answer_to(asked["id"], act))
        return asking.result(10)


def test_answer_is_returned() -> None:
    assert answered(Ends(), lambda: {"running": True}) == {"running": True}


def test_answers_in_any_order_reach_their_callers() -> None:
    ends = Ends()
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ends.outside.call, op, 5.0) for op in ("one", "two")]
        asked = [ends.question(), ends.question()]
        for question in reversed(asked):
            ends.tell({"id": question["id"], "result": {"op": question["op"]}})
        assert [one.result(10)["op"] for one in asking] == ["one", "two"]


def test_problem_outside_is_raised_inside_with_all_its_fields() -> None:
    def refuse() -> dict[str, Any]:
        raise EnvironmentProblem("no such container", place="docker", next_step="look")

    with pytest.raises(EnvironmentProblem, match="no such container") as raised:
        answered(Ends(), refuse)
    assert (raised.value.place, raised.value.next_step) == ("docker", "look")


def test_defect_outside_is_raised_at_once() -> None:
    def fail() -> dict[str, Any]:
        raise KeyError("limit_s")

    with pytest.raises(ConductorDefect, match="state: a defect of the conductor: KeyError"):
        answered(Ends(), fail)
    # The run must not take it for a problem of the machine: whose it is decides who mends it.
    assert not issubclass(ConductorDefect, ChaosError)


def test_end_of_the_conductor_ends_every_wait() -> None:
    ends = Ends()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ends.outside.call, "state", 60.0)
        ends.question()
        ends.close()
        with pytest.raises(EnvironmentProblem, match="is gone"):
            asking.result(10)
    assert ends.gone.wait(30)
    with pytest.raises(EnvironmentProblem, match="is gone"):
        ends.outside.call("state", 60.0)


@pytest.mark.parametrize("rest", [b'{"id": 1, "resu', b"not json\n", b"[1]\n"])
def test_malformed_line_is_the_end_of_the_conductor(rest: bytes) -> None:
    """A conductor may be killed while it writes: the run must not go on without one."""
    ends = Ends()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ends.outside.call, "state", 60.0)
        ends.question()
        ends.tell_raw(rest)
        ends.close()
        with pytest.raises(EnvironmentProblem, match="is gone"):
            asking.result(10)
    assert ends.gone.wait(30)


def test_signal_arrives_as_its_name() -> None:
    ends = Ends()
    ends.tell({"signal": "SIGINT"})
    assert answered(ends, dict) == {}  # read after it
    assert ends.signals == ["SIGINT"]


def test_lines_are_assembled_and_limited() -> None:
    lines = Lines()
    assert lines.feed(b'{"id"') == []
    assert lines.feed(b": 1}\n{}\n{") == [b'{"id": 1}', b"{}"]
    assert lines.feed(b"}\n") == [b"{}"]
    assert [len(one) for one in lines.feed(bytes(LINE_BYTES_MAX + 1))] == [LINE_BYTES_MAX + 1]
    assert lines.feed(b"{}\n") == [b"{}"]
