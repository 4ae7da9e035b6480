"""A run whose Watcher falls back to its heuristic and does not say so."""

from __future__ import annotations

from pathlib import Path

from tests.checks.history_builder import PlantedRun


def lying_run(path: Path) -> PlantedRun:
    """The decisions under the first fault claim to be the LLM's."""
    run = PlantedRun(path)
    for decision in run.decisions:
        if decision.pop("heuristic_fallback", False):
            decision["decided_by"] = "llm"
            break
    return run
