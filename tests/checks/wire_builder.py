"""What the wire's witness would have written of a planted run."""

from __future__ import annotations

import json
from typing import Any

from tests.checks.history_builder import EPOCH_S, PlantedRun, _t_s

Line = dict[str, Any]


class Wire:
    """The exchanges of a planted run, one for each attempt; plant lies into `lines`."""

    def __init__(self, run: PlantedRun) -> None:
        self.run = run
        run.config["witness"] = "all"
        self.lines: list[Line] = []
        self._harness_probe()
        for decision in run.decisions:
            for call in decision["llm_calls"]:
                self._call(call)

    def _harness_probe(self) -> None:
        self.exchange(1.0, 1.2, text="Hi", harness=True)

    def _call(self, call: dict[str, Any]) -> None:
        start_s, end_s = _t_s(call["started_at"]), _t_s(call["ended_at"])
        if call["outcome"] == "ok":
            self.exchange(start_s + 0.01, end_s - 0.01, text=json.dumps(call.get("answer")))
            return
        self.exchange(start_s + 0.01, end_s - 0.01, ended="given_up", status=None)

    def exchange(self, start_s: float, end_s: float, **facts: Any) -> None:
        """One exchange of the daemon with its LLM, by default answered."""
        self.lines.append(
            {
                "connection": len(self.lines) + 1,
                "link": "llm",
                "open_s": EPOCH_S + start_s - 0.001,
                "time_s": EPOCH_S + start_s,
                "end_s": EPOCH_S + end_s,
                "method": "POST",
                "path": "/completion",
                "status": 200,
                "ended": "answered",
                **facts,
            }
        )

    def write(self) -> None:
        self.run.files["wire.jsonl"] = "".join(
            json.dumps(line) + "\n" for line in sorted(self.lines, key=lambda line: line["end_s"])
        )
