"""The contract of every backend: one list of checks, executed on a stack of each backend.

Each check is a function of a running stack that raises `AssertionError` if it fails. The checks run
where the harness runs: in the local sandbox, or in the pod. There this file is copied into the run
directory together with tests/waiting.py, so it imports no other test module. `CONFIG` is the run's
`contract.json`.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.stack.base import Stack
from chaos.stack.builder import StackBuilder
from chaos.stack.llm_probe import completes, healthy
from tests.waiting import wait_for

Promise = Callable[[Stack], None]
PROMISES: list[Promise] = []


def promise(function: Promise) -> Promise:
    """Adds it to the list."""
    PROMISES.append(function)
    return function


def states(stack: Stack, name: str) -> set[str]:
    """The states of a service's processes, as one letter each (proc(5))."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in stack.service(name).pids()]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


@promise
def every_part_runs_and_the_injector_waits(stack: Stack) -> None:
    for name in ("watcher", "llm", "llm_supervisor", "proxy"):
        assert stack.service(name).alive(), name
        assert stack.service(name).pid() in stack.service(name).pids(), name
    assert not stack.service("injector").alive()
    stack.service("injector").start()
    assert stack.service("injector").alive()


@promise
def an_unknown_service_is_a_key_error(stack: Stack) -> None:
    try:
        stack.service("nobody")
    except KeyError:
        return
    raise AssertionError("it was given out")


@promise
def the_llm_answers_directly_and_through_the_proxy(stack: Stack) -> None:
    assert completes(stack.direct_llm, 30)
    assert completes(stack.proxied_llm, 30)
    assert stack.proxy.toxics() == []


@promise
def a_toxic_is_felt_through_the_proxy_alone(stack: Stack) -> None:
    stack.proxy.add_toxic("t", "timeout", {"timeout": 0}, stream="upstream")
    assert not healthy(stack.proxied_llm, 1.0)
    assert healthy(stack.direct_llm, 5.0)
    stack.proxy.remove_toxic("t")
    wait_for("the LLM answers again", lambda: healthy(stack.proxied_llm, 2.0))


@promise
def what_observers_read_can_be_read(stack: Stack) -> None:
    for name in ("watcher", "llm", "proxy", "injector"):
        pid = stack.service(name).pid()
        assert list(Path(f"/proc/{pid}/fd").iterdir()), name
        assert "Rss" in Path(f"/proc/{pid}/smaps_rollup").read_text(), name
        assert Path(f"/proc/{pid}/environ").read_bytes(), name


@promise
def commands_run_where_the_watcher_runs(stack: Stack) -> None:
    code = "import os; print(os.getcwd(), os.environ['OMP_NUM_THREADS'])"
    done = stack.run(["{python}", "-c", code], 30.0)
    assert done.exit_code == 0, done.output
    assert done.output.split() == [str(stack.workspace), "1"], done.output
    assert stack.run(["{python}", "-c", "raise SystemExit(9)"], 30.0).exit_code == 9


@promise
def a_command_has_a_limit(stack: Stack) -> None:
    done = stack.run(["{python}", "-c", "import time; time.sleep(60)"], 1.0)
    assert done.exit_code is None
    assert done.took_s < 50, "the command sleeps 60 s"


@promise
def a_killed_watcher_is_gone_and_can_be_started_again(stack: Stack) -> None:
    watcher = stack.service("watcher")
    before, pids = watcher.pid(), watcher.pids()
    watcher.kill()
    assert not watcher.alive()
    assert watcher.exit_code() == -signal.SIGKILL
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    watcher.start()
    assert watcher.pid() not in (None, before)
    assert watcher.exit_code() is None


@promise
def starting_what_runs_changes_nothing(stack: Stack) -> None:
    before = stack.service("watcher").pid()
    stack.service("watcher").start()
    assert stack.service("watcher").pid() == before


@promise
def a_paused_service_stands_still_and_goes_on(stack: Stack) -> None:
    for name in ("watcher", "injector", "llm", "proxy"):
        service = stack.service(name)
        service.pause()
        assert states(stack, name) == {"T"}, name
        service.resume()
        wait_for(f"{name} goes on", lambda name=name: "T" not in states(stack, name))


@promise
def a_paused_service_can_be_stopped(stack: Stack) -> None:
    injector = stack.service("injector")
    injector.pause()
    stopped = injector.stop(10.0)
    assert not stopped.killed
    assert not injector.alive()


@promise
def a_stopped_watcher_ends_by_itself(stack: Stack) -> None:
    watcher = stack.service("watcher")
    stopped = watcher.stop(30.0)
    assert (stopped.exit_code, stopped.killed) == (0, False)
    assert watcher.exit_code() == 0
    done = stack.run(["{python}", "-c", "print('aside')"], 60.0)  # while it does not run
    assert (done.exit_code, done.output.strip()) == (0, "aside")
    watcher.start()
    assert watcher.alive()


@promise
def the_llm_server_changes_with_each_start(stack: Stack) -> None:
    llm = stack.service("llm")
    stack.service("watcher").pause()  # it has the server started when it needs one
    first = llm.pid()
    llm.stop(10.0)
    assert llm.pid() is None
    assert not healthy(stack.direct_llm, 1.0)
    llm.start()
    assert llm.pid() not in (None, first)
    wait_for("the LLM completes again", lambda: completes(stack.proxied_llm, 5.0))
    stack.service("watcher").resume()


@promise
def a_killed_proxy_refuses_and_comes_back(stack: Stack) -> None:
    proxy = stack.service("proxy")
    proxy.kill()
    with socket.socket() as probe:
        code = probe.connect_ex((stack.proxied_llm.host, stack.proxied_llm.port))
    assert code == errno.ECONNREFUSED, (code, proxy.pid(), proxy.pids())
    proxy.start()
    wait_for("the proxy answers again", lambda: _version(stack))


def _version(stack: Stack) -> str:
    from chaos.base.errors import EnvironmentProblem

    try:
        return stack.proxy.version()
    except EnvironmentProblem:
        return ""


@promise
def a_second_watcher_is_another_process(stack: Stack) -> None:
    """The reference Watcher refuses to be the second: it says so and ends."""
    second = stack.second_watcher()
    assert not second.alive()
    second.start()
    wait_for("the second Watcher ends", lambda: not second.alive())
    assert second.exit_code() not in (None, 0)
    assert stack.service("watcher").alive()
    wait_for("it says why", lambda: second.log.exists() and second.log.stat().st_size > 0)


@promise
def the_workspace_is_a_volume_of_its_own_and_small(stack: Stack) -> None:
    assert stack.sandboxed
    filler, written = stack.workspace / "filler", 0
    try:
        with filler.open("wb", buffering=0) as stream:
            while written < 1000:
                stream.write(bytes(1_000_000))
                written += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC
    finally:
        filler.unlink()
    assert written <= stack.target.workspace.size_mb * 1.05


@promise
def data_is_collected_and_programs_are_not(stack: Stack) -> None:
    folder = Path(CONFIG["collected"])
    stack.collect(folder)
    assert (folder / stack.target.source("draws").path).exists()
    assert not (folder / "agents" / "watcher_agent.py").exists()


CONFIG: dict[str, str] = {}


def live(backend: StackBuilder, run: RunDir) -> None:
    """Bring it up, try every promise, take it down; what happened goes to `kept.json`."""
    kept: dict[str, str] = {}
    CONFIG["collected"] = str(run.artefacts)
    try:
        stack = backend.up(lambda step: print(step, file=sys.stderr))
        for one in PROMISES:
            try:
                one(stack)
                kept[one.__name__] = ""
            except Exception:  # each is told by itself
                kept[one.__name__] = traceback.format_exc()
    except Exception:  # told too: whoever reads asks for it first
        kept["up"] = traceback.format_exc()
    kept["down"] = "; ".join(backend.down())
    (run.path / "kept.json").write_text(json.dumps(kept))


def in_pod(run: RunDir, repo: Path) -> None:
    from chaos.stack.docker.backend import DockerBackend
    from chaos.stack.docker.channel import Outside

    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    cancel = threading.Event()
    outside = Outside(
        sys.stdin.buffer, writer, on_signal=lambda name: cancel.set(), on_gone=cancel.set
    )
    plan = Plan.from_json(run.read_json(run.config))
    live(DockerBackend(plan.target, plan.profile.settings, run, outside, repo, cancel=cancel), run)


def in_sandbox(run: RunDir, repo: Path) -> None:
    from chaos.assets import locate
    from chaos.sandbox.enter import enter, inside
    from chaos.stack.local.backend import LocalBackend

    plan, assets = Plan.from_json(run.read_json(run.config)), locate()
    enter([run.path, repo, *assets.files])
    settings = plan.profile.settings
    live(LocalBackend(plan.target, settings, run, assets, repo / "images", sandboxed=inside()), run)


if __name__ == "__main__":
    where, run_path, repo_path = sys.argv[1:4]
    {"pod": in_pod, "sandbox": in_sandbox}[where](RunDir(Path(run_path)), Path(repo_path))
    sys.stderr.flush()
    os._exit(0)
