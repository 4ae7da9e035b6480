"""Runs with a whole record: judged ones, and one that is written line by line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from chaos.plan import schedule
from chaos.runner.judge import judge
from chaos.runner.resolve import Request, resolve
from tests.checks.history_builder import PlantedRun

Record = dict[str, Any]


def judged(path: Path, **more: Any) -> PlantedRun:
    """A healthy run, judged."""
    run = PlantedRun(path, **more)
    judge(run.write())
    return run


class Growing:
    """A run that goes on: its plan, and a history that a test writes record by record."""

    def __init__(self, root: Path, run_id: str) -> None:
        from tests.record.runs_folder import make_running

        self.id = run_id
        self.path = root / run_id
        self.path.mkdir(parents=True)
        request = Request(soak="soak_c", faults=["llm_timeout:hold=14s,count=2"], seed=12345)
        plan = resolve(request)
        drawn = schedule.draw(plan)
        self.items = drawn.items
        (self.path / "config.json").write_text(json.dumps(plan.to_json()))
        (self.path / "schedule.json").write_text(json.dumps(drawn.to_json()))
        make_running(self.path)
        self._history = (self.path / "history.jsonl").open("ab", buffering=0)
        self.write(kind="header", t_s=0.0, run_id="r", wall_epoch_s=1_767_225_600.0, schema=1)

    def write(self, **record: Any) -> None:
        self._history.write(json.dumps(record).encode() + b"\n")

    def raw(self, text: bytes) -> None:
        self._history.write(text)

    def phase(self, t_s: float, name: str) -> None:
        self.write(kind="phase", t_s=t_s, name=name)

    def fault(self, t_s: float, state: str, number: int = 1, **evidence: Any) -> None:
        record = {"fault_id": f"f{number:03d}", "name": "llm_timeout", "state": state}
        self.write(kind="fault", t_s=t_s, scheduled_s=t_s, evidence=evidence, **record)

    def sample(self, t_s: float, **values: Any) -> None:
        names = {name.replace("__", "."): value for name, value in values.items()}
        self.write(kind="sample", t_s=t_s, values=names)

    def until_storm(self) -> None:
        """The record up to a fault that is in force."""
        for t_s, name in (
            (0.1, "preflight"),
            (0.2, "provision"),
            (2.0, "baseline"),
            (42.0, "storm"),
        ):
            self.phase(t_s, name)
        self.sample(43.0, queue__pending=2, queue__claimed=1, watcher__fds=6, watcher__pid=62)
        self.fault(46.0, "injected")
        self.fault(47.0, "effect_proven")

    def end(self, judged_run: Path | None = None) -> None:
        """The harness ends; with a judged run, its verdict and page are this one's."""
        self.phase(200.0, "end")
        if judged_run is not None:
            for name in ("verdict.json", "report.html"):
                if (judged_run / name).is_file():
                    shutil.copy(judged_run / name, self.path)
        (self.path / "owner.json").unlink()

    def close(self) -> None:
        self._history.close()
