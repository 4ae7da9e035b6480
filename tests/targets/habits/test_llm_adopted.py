"""A daemon that starts and stops its LLM server by a script of its own, which has a fixed port.

A wrapper at the fixed path of the script moves the server's port behind the proxy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.proc import Identity
from chaos.faults.base import parse_params
from chaos.faults.llm_process.killed import LLMKilled
from chaos.faults.llm_process.paused import LLMPaused
from chaos.record.target import Target
from chaos.runner.resolve import Request, resolve
from chaos.stack.base import Stack
from chaos.stack.llm_probe import completes
from chaos.targets.check import errors_in
from tests.targets.habits.llm_stacks import (
    SERVER,
    addresses,
    brought_up,
    read,
    strike_and_heal,
    written,
)
from tests.waiting import wait_for

TARGET = """
target: starts_its_llm
watcher: {watcher}
work: {{submit: {{folder: inbox}}, done: outbox/*, body: {{id: "{{id}}"}}}}
workspace:
  install:
    - {{source: {daemon}, to: daemon.py}}
    - {{source: {server}, to: server.py}}
    - {{source: original.sh, to: original.sh}}
    - {{source: wrapper.sh, to: start_llm.sh}}
llm:
  server: {server_says}
  {llm}
"""
ORIGINAL = '"{python}" server.py 127.0.0.1:{port} > llm.log 2>&1 &\necho $! > llm.pid\n'
WRAPPER = "sed 's/:{endpoint}/:{upstream}/' original.sh | sh\n"


DAEMON = '{{start: ["{{python}}", daemon.py, "{endpoint}"], ready_file: ready}}'


def target(
    folder: Path,
    says: str = "daemon",
    *,
    wrapped: bool = True,
    watcher: str = DAEMON,
    **more: Any,
) -> Target:
    """Its scripts and its target. `says`: the value of llm.server."""
    where = addresses()
    ports = {name: text.rpartition(":")[2] for name, text in where.items()}
    (folder / "original.sh").write_text(
        ORIGINAL.format(python=sys.executable, port=ports["endpoint"])
    )
    wrapper = WRAPPER.format(**ports) if wrapped else "sh original.sh\n"
    (folder / "wrapper.sh").write_text(wrapper)
    return read(folder, text(says, {**where, **more}, watcher))


def text(says: str, llm: dict[str, Any], watcher: str = DAEMON) -> str:
    return TARGET.format(
        watcher=watcher.format(endpoint=llm["endpoint"]),
        daemon=Path(__file__).with_name("own_llm_daemon.py"),
        server=SERVER,
        server_says=says,
        llm="\n  ".join(f"{key}: {value}" for key, value in llm.items()),
    )


def events(stack: Stack) -> list[str]:
    lines = (stack.workspace / stack.target.llm.events).read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_its_server_is_found_watched_and_struck(tmp_path: Path) -> None:
    """The daemon stops, starts and revives it; a pause and a kill hit this very process."""
    steps: list[str] = []
    with brought_up(tmp_path, target(tmp_path), steps) as stack:
        assert any("waiting for the daemon's" in step for step in steps)
        llm = stack.service("llm")
        first = Identity.of(llm.pid())
        assert first is not None and b"server.py" in first.command()
        assert completes(stack.proxied_llm, 30)
        (stack.workspace / "cycle").touch()
        wait_for("the daemon has a new server", lambda: llm.pid() not in (None, first.pid))
        wait_for("it completes", lambda: completes(stack.proxied_llm, 5))
        seen = ["start", "ready", "gone", "start", "ready"]
        wait_for("its events", lambda: events(stack) == seen)
        for kind in (LLMPaused, LLMKilled):
            fault = kind("f001", parse_params(kind, {}, place="test"))
            assert fault.available(stack) is None
            strike_and_heal(fault, stack)
        wait_for("its events", lambda: events(stack) == [*seen, "gone", "start", "ready"])
        with pytest.raises(EnvironmentProblem, match="no server can be stopped"):
            llm.stop(1.0)


def test_the_harness_stops_and_starts_it_by_the_commands_of_the_target(tmp_path: Path) -> None:
    says = "{daemon: true, start: [sh, start_llm.sh], stop: [sh, -c, 'kill $(cat llm.pid)']}"
    once = '{{start: [sh, -c, "sh start_llm.sh; exec sleep 600"]}}'
    made = target(tmp_path, says, watcher=once)
    with brought_up(tmp_path, made) as stack:
        llm = stack.service("llm")
        llm.stop(5.0)
        assert llm.pid() is None
        llm.start()
        wait_for("it completes", lambda: completes(stack.proxied_llm, 5))
        seen = ["start", "ready", "stop", "gone", "start", "ready"]
        wait_for("its events", lambda: events(stack) == seen)


def test_a_server_that_stays_on_the_port_of_the_proxy_is_said(tmp_path: Path) -> None:
    """The daemon's log says why; the error says where the server has to listen."""
    made = target(tmp_path, wrapped=False, start_limit_s=1)
    listens = pytest.raises(EnvironmentProblem, match="no process of the run listens")
    with listens as caught, brought_up(tmp_path, made):
        pass
    assert "not on llm.endpoint" in caught.value.next_step


def test_what_only_a_server_of_ours_can_do_is_refused(tmp_path: Path) -> None:
    target(tmp_path)
    path = str(tmp_path / "habit.yaml")
    for fault in ("llm_slow_load", "llm_killed:keep_down=yes"):
        with pytest.raises(UsageError, match=r"llm\.server"):
            resolve(Request("soak_b", target=path, faults=[fault]))
    assert resolve(Request("soak_b", target=path, faults=["llm_killed", "llm_paused"])).faults


@pytest.mark.parametrize(
    "says", ["{}", "{daemon: true, command: [x]}", "{command: [x], start: [x]}"]
)
def test_a_server_is_said_in_one_way(says: str, tmp_path: Path) -> None:
    path = written(tmp_path, text(says, addresses()))
    assert any("llm.server" in error.place for error in errors_in(str(path))[2])
