"""Workspaces for the doctor: new ones, and copies of one that `--fix` prepared."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.cli.main import main
from tests.llm.conftest import supervise  # noqa: F401 (a fixture)
from tests.workspaces import Daemon, free_port, fresh


class Examined:
    """The exit code and the JSON object of `chaos doctor --json`."""

    def __init__(self, exit_code: int, content: dict[str, Any]) -> None:
        self.exit_code = exit_code
        self.content = content
        self.items: list[dict[str, Any]] = content["items"]
        self.changes: list[dict[str, Any]] = content["changes"]

    def named(self, name: str, state: str | None = None) -> list[dict[str, Any]]:
        """The items with that name (and state)."""
        return [i for i in self.items if i["name"] == name and state in (None, i["state"])]

    def bad(self) -> set[str]:
        """Names of the workspace's items with problems or warnings."""
        aside = {"llm_health", "llm_completion", "llm_grammar", "namespaces", "memory"}
        aside |= {"model", "toxiproxy"}
        return {i["name"] for i in self.items if i["state"] in ("warn", "problem")} - aside


def examine(workspace: Path, *args: str, llm: str | None = None) -> Examined:
    """Run `chaos doctor --json` in this process. Without `llm`, its port is closed."""
    out = io.StringIO()
    where = llm or f"127.0.0.1:{free_port()}"
    with contextlib.redirect_stdout(out):
        code = main(["doctor", "--workspace", str(workspace), "--llm", where, "--json", *args])
    return Examined(code, json.loads(out.getvalue()))


@pytest.fixture
def new_workspace(tmp_path: Path) -> Path:
    """A workspace as installed: programs, and no data."""
    return fresh(tmp_path / "workspace")


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = fresh(tmp_path_factory.mktemp("prepared") / "workspace")
    done = examine(workspace, "--fix")
    assert done.bad() == set(), done.items
    return workspace


@pytest.fixture
def workspace(_prepared: Path, tmp_path: Path) -> Path:
    """A workspace without problems: history, test mode, artefacts."""
    return Path(shutil.copytree(_prepared, tmp_path / "workspace"))


@pytest.fixture
def daemon() -> Iterator[Callable[[Path], Daemon]]:
    """`daemon(workspace)` -> the real Watcher, running; ended after the test."""
    started: list[Daemon] = []

    def start(workspace: Path) -> Daemon:
        started.append(Daemon(workspace))
        return started[-1]

    yield start
    for process in started:
        process.end()
