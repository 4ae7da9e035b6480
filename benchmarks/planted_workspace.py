"""A Watcher's workspace of stated size, without a Watcher, for measuring what reading it costs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chaos.record.target import Target


@dataclass(frozen=True)
class Size:
    """How much has happened: archived requests, decisions, draws."""

    archived: int
    decisions: int
    draws: int


class PlantedWorkspace:
    """Files as `target` lays them out; `advance` adds one cycle's worth."""

    def __init__(self, root: Path, target: Target, size: Size) -> None:
        self.root = root
        self._target = target
        self._cycle = 0
        queue = target.work
        for pattern in (queue.pending, queue.claimed, queue.finished.files, queue.set_aside):
            (root / pattern).parent.mkdir(parents=True, exist_ok=True)
        for path in (target.paths.logs[0], target.llm.events, target.paths.policy_candidates):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
        self._draws = [self._draw(number) for number in range(size.draws)]
        for number in range(size.archived):
            self._archive(number)
        with (root / target.decisions.path).open("w") as log:
            log.writelines(self._decision(number) for number in range(size.decisions))
        self._log = (root / target.paths.logs[0].replace("*", "")).open("a", buffering=1)
        self._log.writelines("2026-01-01 INFO a line of ordinary length in a log\n" * 5000)
        event = {"time_s": 1.0, "event": "ready", "pid": 1, "generation": 1}
        (root / target.llm.events).write_text(json.dumps(event) + "\n")
        self._replace(target.source("draws").path, {target.source("draws").place: self._draws})
        for path in (target.source("predictions").path, target.source("telemetry").path):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            self._replace(path, {"cycle": 0})

    def advance(self) -> None:
        """One draw, one prediction pool, one archived request, one decision, ten log lines."""
        self._cycle += 1
        self._draws.append(self._draw(len(self._draws)))
        self._replace(
            self._target.source("draws").path, {self._target.source("draws").place: self._draws}
        )
        self._replace(self._target.source("predictions").path, {"cycle": self._cycle})
        self._archive(1_000_000 + self._cycle)
        with (self.root / self._target.decisions.path).open("a") as log:
            log.write(self._decision(1_000_000 + self._cycle))
        self._log.writelines("2026-01-01 INFO a line of ordinary length in a log\n" * 10)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _archive(self, number: int) -> None:
        name = f"ch13_{number:07d}_selfplay.json"
        (self.root / self._target.work.finished.files).parent.joinpath(name).write_text("{}")

    def _replace(self, path: str, content: object) -> None:
        part = self.root / f"{path}.part"
        part.write_text(json.dumps(content))
        part.replace(self.root / path)

    @staticmethod
    def _draw(number: int) -> dict[str, object]:
        return {
            "date": "2026-01-01",
            "session": "midday",
            "draw": [number % 10, number // 10 % 10, number // 100 % 10],
            "value": number % 1000,
            "draw_source": "synthetic_bootstrap",
            "true_seed": 12345,
        }

    @staticmethod
    def _decision(number: int) -> str:
        return (
            json.dumps(
                {
                    "decision_id": f"d{number:07d}",
                    "sequence_number": number,
                    "source": "chapter13_trigger",
                    "request_file": f"ch13_{number:07d}_selfplay.json",
                    "request_type": "selfplay",
                    "dispatch": "dispatch_selfplay",
                    "status": "COMPLETED",
                    "started_at": "2026-01-01T00:00:00.000000+00:00",
                    "timestamp": "2026-01-01T00:00:01.000000+00:00",
                    "decided_by": "llm",
                    "effects": {"child_exit": 0, "artefacts": {"a.json": "0" * 64}},
                }
            )
            + "\n"
        )
