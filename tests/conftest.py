"""Fixtures that every test may use: the repository, and the real parts that a run needs."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chaos.assets import Assets, ensure
from chaos.assets.progress import Plain

_MARK = "CHAOS_TEST_MARK"
_END_S = 5.0


@pytest.fixture(scope="session")
def repo() -> Path:
    """The top folder of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def assets() -> Assets:
    """The real model and Toxiproxy, provisioned if they are not there yet.

    Without them the tests fail with the reason: a skipped stack test would say nothing.
    """
    return ensure(Plain(sys.stderr))


@pytest.fixture(scope="session")
def model_path(assets: Assets) -> Path:
    """The real model (GGUF)."""
    return assets.model


@pytest.fixture(scope="session")
def toxiproxy_binary(assets: Assets) -> Path:
    """The real Toxiproxy server."""
    assert assets.toxiproxy is not None, f"no Toxiproxy here: {assets.toxiproxy_reason}"
    return assets.toxiproxy


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """Where a container engine answers; without one the test is skipped with the reason."""
    from chaos.base.errors import EnvironmentProblem
    from chaos.stack.docker import engine

    try:
        with closing(engine.connect()) as client:
            client.ping()
            return engine.address()
    except EnvironmentProblem as problem:
        assert not os.environ.get("CHAOS_ENGINE_REQUIRED"), problem  # who started one wants it used
        pytest.skip(f"needs a container engine: {problem.message}")


@pytest.fixture(autouse=True)
def nothing_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], dict[int, str]]]:
    """Fail a test that leaves a process behind, whatever session or group that process is in.

    Each process that a test starts inherits a mark in its environment. Gives out a function that
    lists them: process id -> command line.
    """
    mark = uuid.uuid4().hex
    monkeypatch.setenv(_MARK, mark)
    yield lambda: _marked(mark)
    deadline = time.monotonic() + _END_S
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)  # processes end in their own time; the deadline decides
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {list(left.values())}"


def _marked(mark: str) -> dict[int, str]:
    needle = f"{_MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if needle in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace")
        except OSError:
            continue  # gone meanwhile, or another user's
    return found
