"""What the system-call witness would have written of a planted run; plant lies into its lines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from chaos.checks.finding import Finding
from tests.checks.history_builder import EPOCH_S, PlantedRun, _t_s, judged_by
from tests.checks.wire_builder import Wire

LLM = "127.0.0.1:8080"
WATCHER, INJECTOR = 20, 21
QUEUE = "watcher_requests"
Line = dict[str, Any]


class Witnessed:
    """A planted run with what a witness would have written of it; plant lies into `lines`."""

    def __init__(self, run: PlantedRun) -> None:
        self.run = run
        run.config["witness"] = "all"
        self.lines: list[Line] = []
        self.add(2.0, "process", WATCHER, parent=1, service="watcher", argv=["watcher"])
        self.add(2.0, "process", INJECTOR, parent=1, service="injector", argv=["injector"])
        self._emit()
        for decision in run.decisions:
            self._work(decision)

    def _emit(self) -> None:
        for diagnosis in self.run.diagnostics.values():
            for name in diagnosis["requests"]:
                self.emit(_t_s(diagnosis["timestamp"]), name)

    def emit(self, t_s: float, name: str) -> None:
        """The daemon puts a request of its own into the queue."""
        part = f"{QUEUE}/.{name}.tmp"
        self.add(t_s, "open", WATCHER, path=part)
        self.add(t_s, "rename", WATCHER, path=part, to=f"{QUEUE}/{name}", sha256=digest(name))

    def _work(self, decision: dict[str, Any]) -> None:
        name, child = decision["request_file"], decision["effects"]["child_pid"]
        start_s, end_s = _t_s(decision["started_at"]), _t_s(decision["timestamp"])
        claimed = {"path": f"{QUEUE}/{name}", "to": f"{QUEUE}/claimed/{name}"}
        self.add(start_s + 0.01, "rename", WATCHER, **claimed, sha256=digest(name))
        for call in decision["llm_calls"]:
            self.add(_t_s(call["started_at"]), "connect", WATCHER, address=LLM)
        self.add(start_s + 0.3, "process", child, parent=WATCHER, service="watcher", argv=["x"])
        told = ["--steps", "3,5,6"] if "learning" in name else ["--episodes", "1"]
        self.add(start_s + 0.3, "exec", child, argv=["child", *told, f"--request={name}"])
        self.add(start_s + 0.4, "open", child, path=f"work/{name}.part")
        self.add(start_s + 0.5, "exit", child, code=0, cpu_s=0.2)
        self.add(start_s + 0.5, "end", child)
        self.add(start_s + 0.5, "unlink", WATCHER, path=f"work/{name}.part")
        for path, sha256 in decision["effects"]["artefacts"].items():
            self.add(end_s + 0.02, "rename", WATCHER, path=f"work/{path}", to=path, sha256=sha256)
        self.add(end_s, "open", WATCHER, path="watcher_decisions.jsonl")
        archived = {"path": f"{QUEUE}/claimed/{name}", "to": f"{QUEUE}/archive/{name}"}
        self.add(end_s + 0.03, "rename", WATCHER, **archived, sha256=digest(name))

    def add(self, t_s: float, call: str, pid: int, **facts: Any) -> None:
        self.lines.append({"time_s": EPOCH_S + t_s, "call": call, "pid": pid, **facts})

    def drop(self, wrong: Callable[[Line], bool]) -> None:
        self.lines = [line for line in self.lines if not wrong(line)]

    def judged(self, check: str) -> Finding:
        self.write()
        return judged_by(self.run, check)

    def write(self) -> None:
        lines = sorted(self.lines, key=lambda line: line["time_s"])
        self.run.files["witness.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines)
        Wire(self.run).write()


def digest(name: str) -> str:
    """The SHA-256 of a request as `PlantedRun` archives it."""
    kind = "learning_loop" if "learning" in name else "selfplay"
    return hashlib.sha256(json.dumps({"request_type": kind, "of": name}).encode()).hexdigest()
