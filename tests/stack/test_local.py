"""The local backend with real LLM server and proxy: up by evidence, down without a trace.

The Watcher is a tiny one of our own (tests/stack/tiny_watcher.py): the stack must work for any.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace as replace_dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.assets import Assets
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.stopping import RunStopped
from chaos.record.rundir import RunDir
from chaos.record.target import ServiceSpec, Target
from chaos.sandbox.guardian import marked_pids
from chaos.stack.base import Endpoint, Service, Stack
from chaos.stack.llm_probe import completes, healthy
from chaos.stack.llm_service import LLMService
from chaos.stack.local.backend import LocalBackend
from tests.waiting import wait_for

pytestmark = pytest.mark.stack

Make = Callable[..., LocalBackend]


def quiet(step: str) -> None:
    """Ignore the steps of the start."""


def assert_nothing_left(backend: LocalBackend, run: RunDir) -> None:
    """No process, no workspace."""
    assert backend.down() == []
    assert marked_pids(run.run_id) == {}
    assert not (run.path / "workspace").exists()


def up(backend: LocalBackend) -> Stack:
    return backend.up(quiet)


def test_stack_starts_works_and_stops(backend: Make, run_dir: RunDir) -> None:
    """Every service runs, the LLM answers both ways, files are where the profile says, then gone.

    The Watcher's worker left its session: taking the stack down must find it even so.
    """
    steps: list[str] = []
    made = backend()
    stack = made.up(steps.append)
    names = ("watcher", "llm", "llm_supervisor", "proxy")
    assert all(stack.service(name).alive() for name in names)
    assert not stack.service("injector").alive()
    stack.service("injector").start()
    assert stack.service("injector").alive()
    assert completes(stack.direct_llm, 30)
    assert completes(stack.proxied_llm, 30)
    assert stack.proxy.toxics() == []
    assert json.loads((stack.workspace / "prepared.json").read_text()) == {
        "llm": {"attempts": 2, "timeout": 4}
    }
    assert json.loads((stack.workspace / "watcher_status.json").read_text())["interval"] == "3"
    assert any(step.startswith("prepare") for step in steps)
    assert len(marked_pids(run_dir.run_id)) == 6  # five services and a worker
    stack.collect(run_dir.artefacts)
    assert (run_dir.artefacts / "prepared.json").exists()
    assert not (run_dir.artefacts / "tiny_watcher.py").exists()
    assert_nothing_left(made, run_dir)
    for name in ("watcher", "injector", "llm_supervisor", "llm", "proxy"):
        assert (run_dir.logs / f"{name}.log").exists()


SERVICE = """
import pathlib, signal, sys, time
name, ended = sys.argv[1:]
def end(*_):
    with open(ended, "a") as file:
        file.write(name + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
pathlib.Path(name).touch()
time.sleep(600)
"""


def test_services_are_ready_after_the_watcher_and_end_in_reverse_order(
    backend: Make, tiny_target: Target, run_dir: RunDir, tmp_path: Path
) -> None:
    """Each that was started later may need what was started before."""
    ended, steps = tmp_path / "ended", list[str]()
    services = {
        name: ServiceSpec(start=["{python}", "-c", SERVICE, name, str(ended)], ready_file=name)
        for name in ("first", "second")
    }
    made = backend(target=replace(tiny_target, services=services))
    stack = made.up(steps.append)
    assert all(stack.service(name).alive() for name in services)
    assert steps[-3:] == ["Watcher: starting", "first: starting", "second: starting"]
    assert_nothing_left(made, run_dir)
    assert ended.read_text().split() == ["second", "first"]


@pytest.mark.parametrize("ready_file", ["", "never"])
def test_service_that_cannot_start_is_an_error_of_the_target(
    backend: Make, tiny_target: Target, run_dir: RunDir, ready_file: str
) -> None:
    spec = ServiceSpec(start=["{python}", "-c", "import nowhere"], ready_file=ready_file)
    made = backend(target=replace(tiny_target, services={"first": spec}))
    with pytest.raises(UsageError, match="No module named 'nowhere'") as refused:
        up(made)
    assert refused.value.place == "target tiny, services.first.start"
    assert_nothing_left(made, run_dir)


def test_stack_works_with_the_wire_proxy_and_the_built_in_tcp_proxy(
    backend: Make, assets: Assets, run_dir: RunDir
) -> None:
    """The proxy of last resort leads to the wire proxy, and that to the server."""
    made = backend(needs=["wire"], assets=replace_dataclass(assets, toxiproxy=None))
    stack = up(made)
    assert stack.proxy.version().startswith("builtin ")
    assert stack.wire is not None
    assert completes(stack.proxied_llm, 30)
    stack.wire.put("r", "status", {"status": 500})
    assert not completes(stack.proxied_llm, 30)
    assert completes(stack.direct_llm, 30)
    state = stack.wire.rules()["r"]
    assert (state.seen, state.probes_struck) == (0, 1)  # the harness takes no turn of the Watcher's
    stack.wire.remove("r")
    assert completes(stack.proxied_llm, 30)
    stack.service("wire").kill()
    with pytest.raises(EnvironmentProblem, match="wire proxy"):
        stack.wire.rules()
    assert_nothing_left(made, run_dir)
    assert (run_dir.logs / "wire.log").exists()


def test_wire_proxy_is_absent_unless_a_fault_needs_it(backend: Make) -> None:
    """One process less, and one less that can break."""
    stack = up(backend())
    assert stack.wire is None
    with pytest.raises(KeyError):
        stack.service("wire")


def test_target_without_an_address_for_the_wire_proxy_is_an_error(
    backend: Make, tiny_target: Target, run_dir: RunDir
) -> None:
    target = replace(tiny_target, llm=replace(tiny_target.llm, wire=""))
    made = backend(needs=["wire"], target=target)
    with pytest.raises(EnvironmentProblem, match="needs the wire proxy"):
        up(made)
    assert_nothing_left(made, run_dir)


def test_commands_run_in_the_workspace_with_the_targets_environment(
    backend: Make, run_dir: RunDir
) -> None:
    """Placeholders, working directory and environment are the Watcher's."""
    stack = up(backend())
    code = "import os; print(os.getcwd(), os.environ['TINY_INTERVAL'])"
    done = stack.run(["{python}", "-c", code], 30.0)
    assert done.exit_code == 0
    assert done.output.split() == [str(stack.workspace), "3"]


def test_llm_service_is_the_child_of_its_supervisor(backend: Make) -> None:
    """Its PID changes with each start; stop means gone; a kill is noticed."""
    stack = up(backend())
    llm = stack.service("llm")
    assert isinstance(llm, LLMService)
    first = llm.pid()
    assert first == llm.status()["pid"]
    llm.stop(10.0)
    assert llm.pid() is None
    assert not healthy(stack.direct_llm, 1.0)
    llm.start()
    second = llm.pid()
    assert second not in (None, first)
    wait_for("the server is healthy", lambda: healthy(stack.direct_llm, 2.0))
    llm.kill()
    assert llm.pid() is None
    wait_for("the supervisor notices", lambda: llm.status()["state"] == "stopped")
    assert stack.service("llm_supervisor").alive()


def test_paused_llm_server_hangs_until_it_is_resumed(backend: Make) -> None:
    """Connections are accepted, nothing is answered; afterwards all is well."""
    stack = up(backend())
    llm: Service = stack.service("llm")
    llm.pause()
    assert not healthy(stack.direct_llm, 0.5)
    llm.resume()
    wait_for("it answers again", lambda: completes(stack.proxied_llm, 5.0))


def test_down_ends_paused_processes(backend: Make, run_dir: RunDir) -> None:
    """A stack that is taken down in the middle of a fault leaves nothing either."""
    made = backend()
    stack = up(made)
    for name in ("watcher", "llm", "proxy"):
        stack.service(name).pause()
    assert_nothing_left(made, run_dir)


def test_down_is_idempotent(backend: Make, run_dir: RunDir) -> None:
    """`down` may be called at any time."""
    assert_nothing_left(backend(), run_dir)


@pytest.mark.parametrize("which", ["endpoint", "upstream", "control", "proxy_api"])
def test_taken_port_is_reported_before_anything_starts(
    backend: Make, tiny_target: Target, run_dir: RunDir, which: str
) -> None:
    """Exit 4, port and holder named, nothing started."""
    made = backend()
    endpoint = Endpoint.parse(getattr(tiny_target.llm, which))
    with (
        socket.create_server((endpoint.host, endpoint.port)),
        pytest.raises(EnvironmentProblem, match=f"{endpoint}.*listens there"),
    ):
        up(made)
    assert_nothing_left(made, run_dir)


def test_corrupt_model_is_reported_with_the_log(
    backend: Make, tmp_path: Path, assets: Assets, run_dir: RunDir, tiny_target: Target
) -> None:
    """Not a wait until the limit: the server's death is seen, and its last words are shown."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    made = backend(assets=replace_dataclass(assets, model=broken))
    with pytest.raises(EnvironmentProblem, match=r"(?s)the LLM server at .* ended.*broken\.gguf"):
        up(made)
    assert_nothing_left(made, run_dir)


def test_missing_proxy_binary_is_reported(backend: Make, assets: Assets, run_dir: RunDir) -> None:
    """Exit 4, with its path."""
    made = backend(assets=replace_dataclass(assets, toxiproxy=Path("/nowhere/toxiproxy")))
    with pytest.raises(EnvironmentProblem, match="/nowhere/toxiproxy"):
        up(made)
    assert_nothing_left(made, run_dir)


@pytest.mark.parametrize(
    ("wanted", "kind", "expected"),
    [
        ({"prepare_exit": 9}, EnvironmentProblem, "preparing the workspace failed .exit code 9."),
        (
            {"dies": True},
            UsageError,
            r"ended with exit code 7 at its start, before there was watcher_status.json:\n"
            r"tiny: cannot go on(.|\n)*next: correct it; by hand: .*tiny_watcher.py watch",
        ),
    ],
)
def test_watcher_that_does_not_start_is_reported_with_its_log(
    backend: Make,
    tiny_images: Path,
    run_dir: RunDir,
    wanted: dict[str, object],
    kind: type[Exception],
    expected: str,
) -> None:
    """The error has the end of the log; everything else is stopped again."""
    (tiny_images / "tiny" / "tiny.json").write_text(json.dumps(wanted))
    made = backend()
    with pytest.raises(kind, match=expected):
        up(made)
    assert_nothing_left(made, run_dir)


def started(made: LocalBackend, target: Target, *command: str, ready_file: str = "") -> str:
    """Start only a Watcher with this command; returns the error, "" for none."""
    spec = replace(target.watcher, start=list(command), ready_file=ready_file)
    made._target = replace(target, watcher=spec)
    made._workspace.mkdir()
    try:
        watcher = made._program("watcher", spec, None)
        made._started.append(watcher)  # for `down`
        made._start_program(watcher)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("ready_file", ["watcher_status.json", ""])
def test_watcher_whose_program_is_missing_is_a_usage_error(
    backend: Make, tiny_target: Target, ready_file: str
) -> None:
    said = started(backend(), tiny_target, "no-such-python", "x.py", ready_file=ready_file)
    assert said.startswith("target tiny, watcher.start: there is no program 'no-such-python'")
    assert ("which was to write watcher_status.json" in said) == bool(ready_file)


@pytest.mark.parametrize("ready_file", ["watcher_status.json", ""])
def test_watcher_whose_module_is_missing_is_a_usage_error(
    backend: Make, tiny_target: Target, ready_file: str
) -> None:
    command = ("{python}", "-c", "import no_such_module")
    said = started(backend(), tiny_target, *command, ready_file=ready_file)
    assert "ended with exit code 1 at its start" in said
    assert "No module named 'no_such_module'" in said
    assert ("before there was watcher_status.json" in said) == bool(ready_file)


def test_watcher_without_a_ready_file_that_lives_is_started(
    backend: Make, tiny_target: Target
) -> None:
    command = ("{python}", "-c", "import time; time.sleep(60)")
    assert started(backend(), tiny_target, *command) == ""


def test_watcher_that_is_killed_at_its_start_is_no_usage_error(
    backend: Make, tiny_target: Target
) -> None:
    """Stands for the OOM killer: not its command is wrong, but the machine."""
    command = ("{python}", "-c", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(EnvironmentProblem, match="exit code -9"):
        started(backend(), tiny_target, *command, ready_file="watcher_status.json")


def test_interrupt_during_the_start_ends_the_stack(
    backend: Make, tiny_images: Path, run_dir: RunDir
) -> None:
    """Ctrl-C does not wait for a Watcher that never gets ready."""
    (tiny_images / "tiny" / "tiny.json").write_text('{"never_ready": true}')
    cancel = threading.Event()
    made = backend(cancel=cancel)

    def on_step(step: str) -> None:
        if step.startswith("Watcher"):
            threading.Timer(0.2, cancel.set).start()

    with pytest.raises(RunStopped):
        made.up(on_step)
    assert_nothing_left(made, run_dir)


def test_watcher_that_ignores_the_stop_signal_is_killed(backend: Make, run_dir: RunDir) -> None:
    """One that cannot obey does not keep the stack up: here its handler never runs."""
    made = backend()
    stack = up(made)
    pid = stack.service("watcher").pid()
    assert pid is not None
    stack.run(["sh", "-c", f"kill -STOP {pid}"], 10.0)  # (the shell's own kill)
    shutil.rmtree(stack.workspace / "__pycache__", ignore_errors=True)
    assert stack.service("watcher").stop(0.0).exit_code in (0, -signal.SIGKILL)
    assert_nothing_left(made, run_dir)
