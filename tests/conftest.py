"""Fixtures that every test may use: the repository, a folder in memory, the real parts of a run."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from chaos.assets import Assets, ensure
from chaos.assets.progress import Plain
from tests.costs import mark_cost
from tests.order import LongestFirst, in_order
from tests.waiting import wait_for

_MARK = "CHAOS_TEST_MARK"
_END_S = 20.0  # for what takes milliseconds on a quiet machine
_MEMORY = Path("/dev/shm")
_PREFIX = "chaos-tests-"
_ROOM_BYTES = 1 << 30
# Their files must be seen by others: a sandbox covers /dev/shm, an engine lives outside.
_ON_DISK = ("stack", "docker")
_failed = pytest.StashKey[bool]()
# What the interpreter reports when it starts a process.
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_started: list[str] = []


def _note_start(event: str, _arguments: object) -> None:
    if event in _STARTS:
        _started.append(event)


sys.addaudithook(_note_start)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave what costs much out of the fast part."""
    mark_cost(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the longest first."""
    items[:] = in_order(items)


@pytest.hookimpl(optionalhook=True)  # without xdist there is nothing to distribute
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LongestFirst | None:
    """Hand the tests out in that order, unless the command line asks for another way."""
    return LongestFirst(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a failure until the test's files are cleared away."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(scope="session")
def memory() -> Iterator[Path | None]:
    """A folder in memory, or None where there is no room for one."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM_BYTES:
        yield None
        return
    for left in _MEMORY.glob(f"{_PREFIX}*-*"):  # by sessions that were killed
        if not Path("/proc", left.name.removeprefix(_PREFIX).partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path, memory: Path | None) -> Iterator[Path]:
    """pytest's `tmp_path`, in memory: no test waits for a disk that others keep busy.

    On disk are those of the tests whose sandbox or container must see it, and, for a look at
    them, the files of a test that has failed.
    """
    if memory is None or any(request.node.get_closest_marker(mark) for mark in _ON_DISK):
        yield tmp_path
        return
    folder = memory / tmp_path.name
    folder.mkdir()
    yield folder
    if request.node.stash.get(_failed, False):
        with suppress(OSError):  # no socket can be copied, and nothing of another user's
            shutil.copytree(folder, tmp_path, symlinks=True, dirs_exist_ok=True)
        request.node.add_report_section("teardown", "files", f"moved to {tmp_path}")
    shutil.rmtree(folder, ignore_errors=True)


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
    _started.clear()
    yield lambda: _marked(mark)
    if not _started:
        return  # a look at every process of the machine takes longer than most tests
    try:
        wait_for("every process of the test has ended", lambda: not _marked(mark), _END_S)
    except AssertionError:
        left = _marked(mark)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pytest.fail(f"left running: {list(left.values())}")


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
