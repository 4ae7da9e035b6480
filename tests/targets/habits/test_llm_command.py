"""A daemon with an LLM server of its own, started by a command: it speaks only OpenAI's API."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.base.proc import Identity
from chaos.faults.base import Fault, parse_params
from chaos.faults.llm_process.killed import LLMKilled
from chaos.faults.llm_process.paused import LLMPaused
from chaos.faults.llm_process.server import restart
from chaos.faults.llm_tcp.no_answer import LLMRefused
from chaos.faults.llm_tcp.slow import LLMBandwidth
from chaos.runner.preflight import check_stack
from chaos.runner.resolve import Request, resolve
from chaos.stack.base import Stack
from chaos.stack.llm_probe import completes
from chaos.stack.llm_service import LLMService
from chaos.targets.check import errors_in
from tests.checks.history_builder import PlantedRun
from tests.targets.habits.llm_stacks import (
    SERVER,
    addresses,
    brought_up,
    read,
    strike_and_heal,
    written,
)
from tests.targets.habits.stand_in import finding_of
from tests.waiting import wait_for

TARGET = """
target: own_llm
watcher: {{start: [sleep, "600"]}}
work: {{submit: {{folder: inbox}}, done: outbox/*, body: {{id: "{{id}}"}}}}
workspace: {{install: [{{source: {server}, to: server.py}}]}}
llm:
  server: {{command: ["{{python}}", server.py, "{{host}}:{{port}}"]}}
  {llm}
"""


def text(**more: Any) -> str:
    llm = "\n  ".join(f"{key}: {value}" for key, value in {**addresses(), **more}.items())
    return TARGET.format(server=SERVER, llm=llm)


def make(kind: type[Fault], **values: Any) -> Fault:
    return kind("f001", parse_params(kind, values, place="test"))


def events(stack: Stack) -> list[str]:
    lines = (stack.workspace / stack.target.llm.events).read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_its_server_is_started_stopped_and_killed_like_ours(tmp_path: Path) -> None:
    with brought_up(tmp_path, read(tmp_path, text())) as stack:
        check_stack(stack, stack.target)  # it obeys no grammar, and need not
        llm = cast(LLMService, stack.service("llm"))
        first = Identity.of(llm.pid())
        assert first is not None and b"server.py" in first.command()
        assert completes(stack.proxied_llm, 30)
        restart(stack)
        wait_for("the next server completes", lambda: completes(stack.direct_llm, 5))
        assert not first.lives()
        wanted = ["start", "ready", "stop", "gone", "start", "ready"]
        wait_for("its events", lambda: events(stack) == wanted)
        kill = make(LLMKilled)
        kill.undo_record(stack)
        kill.inject(stack)
        assert kill.effect(stack, Deadline(1)).measured["exit_code"] == -signal.SIGKILL
        kill.recover(stack)  # nobody says that this daemon starts servers
        assert kill.recovered(stack, Deadline(30)).measured["started_by"] == "the fault"
        after = [*wanted, "crashed", "start", "ready"]
        wait_for("the events of the kill", lambda: events(stack) == after)


def test_faults_of_link_and_process_are_proven_without_a_health_path(tmp_path: Path) -> None:
    with brought_up(tmp_path, read(tmp_path, text())) as stack:
        for fault in (make(LLMRefused), make(LLMPaused)):
            strike_and_heal(fault, stack)
        assert "no /props" in (make(LLMBandwidth).settled(stack) or "")


def test_misbehaviour_of_our_server_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = str(written(tmp_path, text()))
    for fault in ("llm_slow_load", "llm_ignores_stop"):
        with pytest.raises(UsageError, match="the target has its own"):
            resolve(Request("soak_b", target=path, faults=[fault]))
    faults = ["llm_slow_load", "llm_killed:keep_down=yes"]
    plan = resolve(Request("soak_b", target=path, faults=faults, skip_unavailable=True))
    assert [bool(fault.left_out) for fault in plan.faults] == [True, False]


def test_containers_have_the_server_of_the_image(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="always the one of the image"):
        resolve(Request("soak_b", target=str(written(tmp_path, text())), backend="docker"))


def test_what_cannot_be_a_server_is_said_with_its_place(tmp_path: Path) -> None:
    wrong = TARGET.format(server=SERVER, llm="ready_path: health").replace(
        'command: ["{python}", server.py, "{host}:{port}"]', 'command: [], stop: ["x", "{other}"]'
    )
    places = {error.place.split()[-1] for error in errors_in(str(written(tmp_path, wrong)))[2]}
    assert {"llm.server", "llm.ready_path", "llm.server.stop[1]"} <= places


def test_slots_of_a_server_that_says_nothing_of_them_are_not_judged(control: PlantedRun) -> None:
    """`*` in not_applicable leaves the check out; a server of ours is expected to say."""
    for name in [name for name in control.signals if name.startswith("llm.requests_")]:
        del control.signals[name]
    assert finding_of(control, "llm_slots").outcome == "inconclusive"
    control.config["target"]["llm"]["server"] = {"command": ["serve"]}
    found = finding_of(control, "llm_slots")
    assert found.outcome == "unverified"
    assert found.summary == (
        "not judged: the LLM server (llm.server) has no llamacpp:requests_processing at /metrics"
    )
    control.config["target"]["not_applicable"] = {"*": "a server without llama.cpp's gauges"}
    left_out = finding_of(control, "llm_slots")
    assert (left_out.outcome, "not applicable: a server" in left_out.summary) == ("skipped", True)


def test_slots_of_a_server_that_says_them_are_judged(control: PlantedRun) -> None:
    control.config["target"]["llm"]["server"] = {"command": ["serve"]}
    control.config["target"]["not_applicable"] = {"*": "little is said"}
    assert finding_of(control, "llm_slots").outcome == "pass"
    control.signals["llm.requests_processing"] = lambda t_s, done: 1
    assert finding_of(control, "llm_slots").outcome == "fail"
