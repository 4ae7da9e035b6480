"""An engine that stops answering during a run: an error with a next step, never a traceback.

The engine is a stand-in: a client whose calls fail like those of the SDK, or one end of a socket
pair for the stream of an exec.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from docker import DockerClient
from loguru import logger
from msgspec.structs import replace

from chaos.base.errors import EnvironmentProblem
from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir
from chaos.runner.clean import clean
from chaos.runner.containers import conductor, leftovers
from chaos.runner.containers.settings import Settings
from chaos.runner.judge import judge
from chaos.stack.docker import exec_stream, objects
from chaos.stack.docker.exec_stream import ExecStream
from chaos.stack.docker.pod import Pod
from tests.stack.docker.running import some_settings


class Gone:
    """Every attribute is a call that fails because the engine is gone."""

    def __getattr__(self, _name: str) -> Any:
        def call(*_: object, **__: object) -> None:
            raise requests.ConnectionError("Connection aborted: no such file")

        return call


@pytest.fixture
def client() -> DockerClient:
    class Client:
        api = Gone()

    return cast(DockerClient, Client())


def settings(engine: str) -> Settings:
    return replace(some_settings(), engine=engine)


def test_remove_without_an_engine_reports_what_is_left(
    client: DockerClient, tmp_path: Path
) -> None:
    left = objects.remove(client, "run")
    assert len(left) == 1 and "what the run has made in the engine" in left[0]
    assert Pod(client, "run", tmp_path).remove() == left
    with pytest.raises(EnvironmentProblem, match="Connection aborted"):
        objects.names(client, "run")


def test_clean_reports_a_missing_engine_only_for_unfinished_runs(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If Docker was uninstalled, runs that were cleaned before are still clean."""
    unfinished = settings(f"unix://{tmp_path}/no.sock")
    unfinished.write(run)
    assert clean(None, tmp_path / "runs") == ExitCode.CLEANUP_INCOMPLETE
    assert "no container engine answers" in capsys.readouterr().out
    replace(unfinished, removed=True).write(run)
    assert clean(None, tmp_path / "runs") == ExitCode.PASS
    assert leftovers.remove(run, print) == []


def test_run_interrupted_before_it_began_is_judged_interrupted(run: RunDir) -> None:
    """Ctrl-C while compose makes the pod is not a problem of the machine."""
    conductor._note_failure(run, "cut off", "infrastructure", interrupted=True)
    assert judge(run).exit_code == ExitCode.INTERRUPTED


def test_run_that_could_not_begin_is_invalid(run: RunDir) -> None:
    conductor._note_failure(run, "no space", "infrastructure", interrupted=False)
    assert judge(run).exit_code == ExitCode.INVALID


@pytest.mark.parametrize(
    ("code", "hurried", "lost"), [(None, False, True), (None, True, False), (0, False, False)]
)
def test_missing_exit_code_is_recorded_as_a_lost_engine(
    code: int | None,
    hurried: bool,
    lost: bool,
    run: RunDir,
    client: DockerClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If the harness ended, or the user killed the pod, the engine is not reported as lost."""

    class Ended:
        def __init__(self, *_: object) -> None: ...
        def serve(self, *_: object, **__: object) -> None: ...

        def exit_code(self) -> int | None:
            return code

        def said(self) -> str:
            return ""

    monkeypatch.setattr(conductor, "ExecStream", Ended)
    monkeypatch.setattr(conductor.engine, "connect", lambda *_: client)
    monkeypatch.setattr(Pod, "id_of", lambda *_: "holder")
    some_settings().write(run)
    made = conductor.Conductor(run, cast(Any, None))
    made._hurry_from_s = -float("inf") if hurried else None
    made._serve()
    assert run.engine_lost.exists() == lost
    assert ("the engine is gone" in capsys.readouterr().err) == (code is None)


class Exec:
    """Stands in for the engine's end of the stream of an exec."""

    def __init__(self) -> None:
        self.theirs, self.ours = socket.socketpair()
        self.kills = 0
        self._asked = self.theirs.makefile("rb")

    def client(self) -> DockerClient:
        ours = self.ours

        class Api:
            def exec_create(self, *_: object, **__: object) -> dict[str, str]:
                return {"Id": "1"}

            def exec_start(self, *_: object, **__: object) -> socket.SocketIO:
                return socket.SocketIO(ours, "rwb")

        class Client:
            api = Api()

        return cast(DockerClient, Client())

    def pod(self) -> Pod:
        def kill() -> None:
            self.kills += 1

        pod = Pod(self.client(), "run", Path("/nowhere"))
        pod.kill = kill  # type: ignore[method-assign]
        return pod

    def say(self, text: bytes) -> None:
        self.theirs.sendall(struct.pack(">BxxxL", 1, len(text)) + text)

    def heard(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self._asked.readline())
        return heard


@pytest.fixture
def exec_() -> Iterator[Exec]:
    made = Exec()
    yield made
    made.theirs.close()
    made.ours.close()


def served(exec_: Exec, **more: Any) -> threading.Thread:
    stream = ExecStream(exec_.client(), "container", ["true"])

    def serve() -> None:
        with ThreadPoolExecutor(2) as workers:
            stream.serve(exec_.pod(), workers, **more)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("said", [b"", b"\1\0\0", struct.pack(">BxxxL", 1, 100) + b"half"])
def test_stream_ends_with_the_engine(said: bytes, exec_: Exec) -> None:
    """Also in the middle of a frame."""
    thread = served(exec_)
    exec_.theirs.sendall(said)
    exec_.theirs.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("seen", "code"), [([0], 0), ([None, None, 3], 3), ([None, "gone"], None), ([None] * 9, None)]
)
def test_exit_code_is_awaited_after_the_end_of_the_stream(
    seen: list[Any], code: int | None, exec_: Exec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that has not noticed the end yet is not reported as lost."""
    codes = iter(seen)

    def exec_inspect(_exec: str) -> dict[str, Any]:
        code = next(codes)
        if code == "gone":
            raise requests.ConnectionError("Connection aborted")
        return {"ExitCode": code}

    monkeypatch.setattr(exec_stream, "_LOOK_S", 0.01)
    monkeypatch.setattr(exec_stream, "_EXIT_LIMIT_S", 0.05 if len(seen) > 3 else 10.0)
    client = exec_.client()
    stream = ExecStream(client, "container", ["true"])
    cast(Any, client.api).exec_inspect = exec_inspect
    assert stream.exit_code() == code


def test_each_signal_is_forwarded_once(exec_: Exec) -> None:
    signals = ["SIGINT"]
    thread = served(exec_, signals=signals)
    assert exec_.heard() == {"signal": "SIGINT"}
    signals.append("SIGTERM")
    assert exec_.heard() == {"signal": "SIGTERM"}
    exec_.theirs.shutdown(socket.SHUT_WR)
    thread.join(10)
    assert not thread.is_alive()


def test_pod_that_does_not_end_is_killed_again_for_a_limited_time(
    exec_: Exec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine may have ignored the first kill."""
    monkeypatch.setattr("chaos.stack.docker.exec_stream._KILL_AGAIN_S", 0.3)
    monkeypatch.setattr("chaos.stack.docker.exec_stream._KILLED_END_LIMIT_S", 1.5)
    thread = served(exec_, hurried=lambda: True)
    thread.join(20)
    assert not thread.is_alive()
    assert 2 <= exec_.kills <= 6


@pytest.mark.parametrize("where", ["conduct", "judge"])
def test_defect_of_chaos_exits_with_4(
    where: str, run: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, with the path of the log; 1 would mean that the Watcher failed."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(conductor, "_record_provenance", fail if where == "conduct" else print)
    monkeypatch.setattr(conductor, "Conductor", fail)
    if where == "judge":
        monkeypatch.setattr("chaos.runner.judge.judge", fail)
    settings("unix:///nowhere").write(run)
    assert conductor.main([str(run.path), "--display", "quiet"]) == ExitCode.INVALID
    logger.remove()  # its file is the test's
    output = capsys.readouterr().err
    assert "a defect of chaos itself (KeyError('planted'))" in output
    assert "conductor.log" in output and "Traceback" not in output
