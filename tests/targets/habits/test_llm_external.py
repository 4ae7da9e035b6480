"""A daemon whose LLM is a server that others run: it is reached by a relay, and never touched."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.checks.finding import Finding
from chaos.faults.base import parse_params
from chaos.faults.llm_tcp.no_answer import LLMRefused
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.runner.judge import verdict_of
from chaos.runner.resolve import Request, resolve
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.probe import require
from chaos.sandbox.relay import SOCKET, inside_argv, outside_argv
from chaos.stack.base import Endpoint
from chaos.stack.llm_probe import completes
from chaos.targets.check import errors_in, judged_by
from chaos.targets.live import live
from chaos.triage.from_run import triage_run
from chaos.witness.base import Values
from chaos.witness.llm import LLMHealth
from tests.checks.history_builder import PlantedRun
from tests.llm.supervised import STANDIN
from tests.ports import free_ports
from tests.records import unpacked
from tests.targets.habits.llm_stacks import SERVER, addresses, brought_up, read, written
from tests.waiting import wait_for

REPO = Path(__file__).resolve().parents[3]
TARGET = """
target: external
watcher: {{start: [sleep, "600"]}}
work: {{submit: {{folder: inbox}}, done: outbox/*, body: {{id: "{{id}}"}}}}
llm:
  server: {{external: "{external}"}}
  {llm}
"""
# In the sandbox: the inner relay, and one request through it.
INSIDE = """
import json, subprocess, sys
from pathlib import Path
from chaos.sandbox.enter import enter
from chaos.sandbox.relay import SOCKET, inside_argv
from chaos.stack.base import Endpoint
from chaos.stack.llm_probe import completes
from tests.waiting import wait_for
run = Path(sys.argv[1])
enter([run, Path(sys.argv[2])])
relay = subprocess.Popen(inside_argv("127.0.0.1:8081", SOCKET), cwd=run)
wait_for("a completion", lambda: completes(Endpoint("127.0.0.1", 8081), 5))
relay.terminate()
assert relay.wait(10) == 0
(run / "seen").touch()
"""


def text(external: object, **more: Any) -> str:
    llm = "\n  ".join(f"{key}: {value}" for key, value in {**addresses(), **more}.items())
    return TARGET.format(external=external, llm=llm)


@pytest.fixture
def server() -> Iterator[Endpoint]:
    """The server of others."""
    endpoint = Endpoint("127.0.0.1", free_ports(1)[0])
    process = subprocess.Popen([sys.executable, str(SERVER), str(endpoint)])
    try:
        wait_for("the server completes", lambda: completes(endpoint, 5))
        yield endpoint
    finally:
        process.kill()
        process.wait()


def test_it_is_reached_and_the_link_to_it_can_be_broken(tmp_path: Path, server: Endpoint) -> None:
    with brought_up(tmp_path, read(tmp_path, text(server))) as stack:
        llm = stack.service("llm")
        assert llm.pid() is None and llm.pids() == []
        assert completes(stack.proxied_llm, 30)
        fault = LLMRefused("f001", parse_params(LLMRefused, {}, place="test"))
        fault.inject(stack)
        effect = fault.effect(stack, Deadline(20))
        assert effect.proven, effect.measured
        fault.recover(stack)
        assert fault.recovered(stack, Deadline(20)).proven
        for act in (llm.start, llm.kill, lambda: llm.stop(1.0)):
            with pytest.raises(EnvironmentProblem, match="not of the run"):
                act()
    assert completes(server, 30)  # what the harness has started is gone, and this is not


def test_one_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    made = read(tmp_path, text(nobody, start_limit_s=1))
    wanted = pytest.raises(EnvironmentProblem, match=f"{nobody}, by the relay")
    with wanted, brought_up(tmp_path, made):
        pass


@pytest.mark.parametrize("fault", ["llm_killed", "llm_paused", "llm_slow_load"])
def test_faults_of_its_process_are_refused_with_the_reason(fault: str, tmp_path: Path) -> None:
    path = str(written(tmp_path, text("10.0.0.5:8000")))
    with pytest.raises(UsageError, match=r"llm\.server"):
        resolve(Request("soak_b", target=path, faults=[fault]))
    faults = [fault, "llm_timeout"]
    plan = resolve(Request("soak_b", target=path, faults=faults, skip_unavailable=True))
    assert [bool(one.left_out) for one in plan.faults] == [True, False]
    with pytest.raises(UsageError, match="one of the image"):
        resolve(Request("soak_b", target=path, backend="docker"))


@pytest.mark.parametrize("server", ['{external: "nowhere"}', '{external: "a:1", stop: [x]}'])
def test_what_cannot_be_an_external_server_is_said(server: str, tmp_path: Path) -> None:
    wrong = text("X").replace('{external: "X"}', server)
    assert any("llm.server" in one.place for one in errors_in(str(written(tmp_path, wrong)))[2])


def test_starts_and_stops_of_it_are_not_judged(tmp_path: Path) -> None:
    """Neither accused nor acquitted; `*` in not_applicable leaves the check out."""
    run = unpacked("soak_c_watcher_restarted", tmp_path)
    config = json.loads(run.config.read_text())
    config["target"]["llm"]["server"] = {"external": "10.0.0.5:8000"}
    config["target"]["not_applicable"] = {}
    run.config.write_text(json.dumps(config))
    found = _lifecycle(run)
    assert (found.outcome, "llm.server" in found.summary) == ("unverified", True)
    config["target"]["not_applicable"] = {"*": "a worker"}
    run.config.write_text(json.dumps(config))
    assert _lifecycle(run).outcome == "skipped"
    with OpenRun(run) as opened:
        assert "not applicable" in judged_by(opened.target)["llm_lifecycle"]


def _lifecycle(run: RunDir) -> Finding:
    with OpenRun(run) as opened:
        return next(f for f in verdict_of(opened).findings if f.check == "llm_lifecycle")


def _judged(
    run: PlantedRun, health: Callable[[float], str]
) -> tuple[dict[str, Finding], list[Any]]:
    """The findings of a run with such a server, in which a decision fell back at about 60 s."""
    run.config["target"]["llm"]["server"] = {"external": "10.0.0.5:8000"}
    run.signals["llm.health"] = lambda t_s, done: health(t_s)  # type: ignore[assignment, return-value]
    decision = run.decisions[len(run.decisions) // 2]
    decision |= {"decided_by": "heuristic", "heuristic_fallback": True}
    for call in decision["llm_calls"]:
        call |= {"outcome": "failed", "answer": None}
    run.ask_only("heuristic_fallbacks")
    with OpenRun(run.write()) as opened:
        verdict = verdict_of(opened)
        causes = [(cause.name, cause.owner) for cause in triage_run(opened, verdict).causes]
        return {finding.check: finding for finding in verdict.findings}, causes


def test_one_that_fails_by_itself_accuses_nobody(control: PlantedRun) -> None:
    """Its host was lost: no connection for some seconds, then no route."""
    states = {60: "down", 63: "hung", 66: "down", 69: "loading", 70: "ok"}
    state = lambda t_s: states[max((s for s in states if s <= t_s), default=70)]  # noqa: E731
    found, causes = _judged(control, state)
    assert {owner for _, owner in causes} == {"infrastructure"}
    health = found["stack_health"]
    assert (health.outcome, health.owner, health.measured) == ("invalid", "infrastructure", 1)
    assert "10.0.0.5:8000" in health.summary and "until 70.0 s" in health.summary
    fallbacks = found["heuristic_fallbacks"]
    assert (fallbacks.outcome, "llm_lost" in fallbacks.summary) == ("inconclusive", True)


@pytest.mark.parametrize("state", ["hung", "ok"])
def test_one_that_only_takes_its_time_excuses_nothing(control: PlantedRun, state: str) -> None:
    """One that works off its requests one by one is hung for others meanwhile."""
    found, _ = _judged(control, lambda t_s: state if 60 <= t_s < 70 else "ok")
    outcomes = [found[name].outcome for name in ("stack_health", "heuristic_fallbacks")]
    assert outcomes == ["pass", "fail"]


def test_it_is_seen_to_be_down_behind_the_relay() -> None:
    """The relay takes connections also while the server takes none."""
    listen, nobody = (Endpoint("127.0.0.1", port) for port in free_ports(2))
    relay = subprocess.Popen(inside_argv(str(listen), str(nobody)))
    health = LLMHealth(listen)
    values: Values = {}

    def down() -> bool:
        health.read(values)
        return values.get("llm.health") == "down"

    try:
        address = (listen.host, listen.port)
        wait_for("the relay", lambda: socket.create_connection(address), not_yet=OSError).close()
        wait_for("the signal", down)
    finally:
        health.close()
        relay.kill()
        relay.wait()


@pytest.mark.stack
def test_the_relay_leads_out_of_the_sandbox_and_ends_with_it(
    tmp_path: Path, server: Endpoint
) -> None:
    run = tmp_path / ("long" * 30) / "run"  # longer than the path of a socket may be
    (run / "logs").mkdir(parents=True)
    program = tmp_path / "inside.py"
    program.write_text(INSIDE)
    inner = [sys.executable, str(program), str(run), str(REPO)]
    user = require().user
    guardian = guardian_argv(inner, run_id=uuid.uuid4().hex, mode="namespaces", user_namespace=user)
    argv = outside_argv(run, str(server), guardian)
    done = subprocess.run(
        argv, cwd=REPO, env={"PYTHONPATH": str(REPO), "PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 0 and (run / "seen").exists()
    wait_for("the relay is gone", lambda: not (run / SOCKET).exists())


@pytest.mark.stack
@pytest.mark.slow(seconds=40)
def test_a_live_check_says_what_it_saw_of_it(tmp_path: Path) -> None:
    """A whole run in the sandbox: the worker of examples/minimal, with such a server."""
    port = free_ports(1)[0]
    folder = REPO / "examples" / "minimal"
    said = (folder / "target.yaml").read_text()
    said = said.replace("{source: worker.py", f"{{source: {folder}/worker.py")
    path = written(
        tmp_path,
        said.replace("llm: {", f'llm: {{server: {{external: "127.0.0.1:{port}"}}, '),
    )
    process = subprocess.Popen([sys.executable, str(STANDIN), "--port", str(port)])
    try:
        seen = live(str(path), read(tmp_path, path.read_text()), tmp_path / "runs")
    finally:
        process.kill()
        process.wait()
    assert (seen.problem, seen.stopped, seen.undone) == ("", "complete", [])
    assert seen.llm[0] == f"127.0.0.1:{port}, not of the run, by a relay, at 127.0.0.1:8081"
    assert "through 127.0.0.1:8080: " in seen.llm[1] and "0 seen" not in seen.llm[1]
    assert not list(seen.path.glob(SOCKET))
