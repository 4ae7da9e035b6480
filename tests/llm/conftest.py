"""Starts supervisors, and ends them after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.llm.supervised import Supervisor


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """`supervise(model, *options, standin=None)` -> a running Supervisor."""
    started: list[Supervisor] = []

    def make(model: Path, *options: str, standin: str | None = None) -> Supervisor:
        started.append(Supervisor(tmp_path, model, *options, standin=standin))
        return started[-1]

    yield make
    for supervisor in started:
        if supervisor.process.poll() is None:
            supervisor.end()


@pytest.fixture
def standin_model(tmp_path: Path) -> Path:
    """A file that is not a model, for servers that load none."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path
