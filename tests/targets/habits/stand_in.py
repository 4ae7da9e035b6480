"""A daemon of a few lines with its target: read, started as a plain process, judged by a record.

The record around its files is that of a healthy run (tests/checks/history_builder.py) without the
files of that run's Watcher.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.yamlfile import Document
from chaos.checks.finding import Finding
from chaos.checks.registry import check_named
from chaos.record.open_run import OpenRun
from chaos.record.target import Target
from chaos.runner.judge import findings_of
from chaos.stack.process import LocalService, Surroundings
from chaos.stack.workspace import fill_words
from chaos.targets.check import errors_in
from tests.checks.history_builder import PlantedRun


class StandIn:
    """One daemon in a workspace of its own. `target` is what was read of its file."""

    def __init__(self, folder: Path, target: str, program: str = "") -> None:
        (folder / "daemon.py").write_text(program)
        file = folder / "target.yaml"
        file.write_text(target)
        document, read, wrong = errors_in(str(file))
        assert read is not None and wrong == [], [str(error) for error in wrong]
        self.document: Document = document
        self.target: Target = read
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.log = folder / "watcher.log"
        self._program = folder / "daemon.py"

    @contextmanager
    def running(self) -> Iterator[LocalService]:
        """The daemon, started as its target says; ended afterwards."""
        (self.workspace / "daemon.py").write_bytes(self._program.read_bytes())
        words = fill_words(self.target.watcher.start, {"python": sys.executable}, place="test")
        where = Surroundings(self.workspace, {"PATH": os.environ["PATH"]})
        service = LocalService("watcher", words, where, self.log)
        service.start()
        try:
            yield service
        finally:
            service.kill()

    def recorded(self, run: PlantedRun) -> PlantedRun:
        """`run` with this daemon's target, log and files in place of the Watcher's."""
        run.config["target"] = msgspec.to_builtins(self.target)
        run.folders = {}
        run.diagnostics, run.candidates = {}, {}
        for path in self.workspace.rglob("*"):
            if path.is_file():
                run.files[f"artefacts/{path.relative_to(self.workspace)}"] = path.read_bytes()
        if self.log.is_file():
            run.files["logs/watcher.log"] = self.log.read_bytes()
        return run


def finding_of(run: PlantedRun, check: str, **params: Any) -> Finding:
    """What the check says of the record."""
    with OpenRun(run.write()) as opened:
        return findings_of(opened, check_named(check), params)[0]
