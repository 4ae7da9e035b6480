"""Log signals: each line counts once, also through rotation, truncation and late creation."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.witness.base import Values
from chaos.witness.files import TRACEBACK, Logs


def read(source: Logs) -> Values:
    values: Values = {}
    source.read(values)
    return values


@pytest.fixture
def logs(workspace: Path) -> Logs:
    return Logs(workspace, ["logs/watcher_agent*.log"], [TRACEBACK, "CRITICAL"])


def counts(source: Logs) -> tuple[object, object]:
    values = read(source)
    return values["log.errors"], values["log.tracebacks"]


def test_errors_and_tracebacks_are_counted_as_they_appear(workspace: Path, logs: Logs) -> None:
    """A pattern counts lines. A traceback is an error only if the target lists it."""
    assert read(logs) == {} and "logs" in logs.absences()
    log = workspace / "logs" / "watcher_agent.log"
    log.write_text("fine\nerror handled\n")
    assert counts(logs) == (0, 0)
    with log.open("a") as stream:
        stream.write(f"{TRACEBACK}:\n  File x\nCRITICAL disk\nCRITICAL half a li")
        stream.flush()
        assert counts(logs) == (2, 1)
        stream.write("ne\n")
        stream.flush()
        assert counts(logs) == (3, 1)
    assert read(logs)["log.bytes"] == log.stat().st_size


@pytest.mark.parametrize("rotated", ["watcher_agent.log.1", "watcher_agent.1.log"])
def test_rotation_loses_and_repeats_nothing(workspace: Path, logs: Logs, rotated: str) -> None:
    """Lines written just before a rotation count once, even if the old name no longer matches."""
    log = workspace / "logs" / "watcher_agent.log"
    total = 0
    for generation in range(1, 6):
        with log.open("a") as stream:
            stream.write("CRITICAL one\n")
            stream.flush()
            read(logs)
            stream.write("CRITICAL two\n")  # not yet read when the file is rotated
        total += log.stat().st_size
        log.replace(log.with_name(rotated))
        log.write_text("CRITICAL three\n")
        assert counts(logs) == (3 * generation, 0)
        assert read(logs)["log.bytes"] == total + log.stat().st_size


def test_counts_never_fall_when_a_log_is_truncated_in_place(workspace: Path, logs: Logs) -> None:
    """Copy-and-truncate rotation: counts and bytes keep growing."""
    log = workspace / "logs" / "watcher_agent.log"
    log.write_text("CRITICAL one\n" * 3)
    assert counts(logs) == (3, 0)
    size = log.stat().st_size
    log.write_text("CRITICAL x\n")
    assert counts(logs) == (4, 0)
    assert read(logs)["log.bytes"] == size + log.stat().st_size
