"""Telemetry: every version that was seen is valid, none stays while learning goes on, and the model
count really advances.

Judged from the versions recorded during the run: the last file alone cannot show that it was
torn or stood still an hour ago.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from chaos.checks.base import Check, Params, needs
from chaos.checks.clock import put_back_one
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.run_view import RunView
from chaos.checks.standstill import stood_still
from chaos.checks.watcher_files import parsed_time

_VERSIONS_MIN = 2


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak C, row "Telemetry: valid JSON, model count increasing"."""
    of = view.target.telemetry
    wrong: list[Evidence] = []
    seen: list[tuple[int, float, datetime]] = []
    for line, event in view.named("artefact"):
        if event.detail.get("path") != of.path or "omitted_bytes" in event.detail:
            continue
        reading = _reading(event.detail, of.model_count, of.timestamp)
        if view.jumps and not isinstance(reading, str):
            reading = (reading[0], _put_back(view, reading[1], event.t_s))
        if isinstance(reading, str):
            wrong.append(view.evidence(line, f"{of.path} {reading}"))
            continue
        if seen and reading[0] < seen[-1][1]:
            wrong.append(
                view.evidence(line, f"model count fell: {seen[-1][1]:g} -> {reading[0]:g}")
            )
        if seen and reading[1] < seen[-1][2]:
            wrong.append(view.evidence(line, "time stamp went back"))
        seen.append((line, *reading))
    if (problem := view.files.json(of.path)[1]) and seen:
        wrong.append(Evidence(view.files.ref(of.path), f"the final file {problem}"))
    return [_finding(view, seen, wrong)]


def _reading(detail: dict[str, Any], count: str, stamp: str) -> tuple[float, datetime] | str:
    """(model count, time stamp), or what is wrong with this version."""
    content = detail.get("content")
    if detail.get("invalid") or not isinstance(content, dict):
        return "was not valid JSON"
    models, moment = content.get(count), parsed_time(content.get(stamp))
    if isinstance(models, bool) or not isinstance(models, (int, float)):
        return f"had no number {count}"
    if moment is None:
        return f"had no time stamp {stamp}"
    return float(models), moment


def _put_back(view: RunView, stamp: datetime, seen_s: float) -> datetime:
    """The stamp without the jump of the Watcher's clock in which it was written, if any."""
    stamp_s = stamp.timestamp() - view.header.wall_epoch_s
    return stamp + timedelta(seconds=put_back_one(stamp_s, seen_s, view.jumps) - stamp_s)


def _finding(
    view: RunView, seen: list[tuple[int, float, datetime]], wrong: list[Evidence]
) -> Finding:
    table = view.files.decisions
    learning = table.dispatched_as(view.target.decisions.dispatch_learning)
    learned = int((table.completed & learning).sum())
    shown = [
        view.evidence(line, f"model count {models:g}") for line, models, _ in seen[:1] + seen[-1:]
    ]
    if wrong:
        return Finding(
            outcome="fail",
            summary=f"{len(wrong)} of {plural(len(seen) + len(wrong), 'version')} wrong",
            measured=len(wrong),
            limit=0,
            evidence=wrong,
        )
    if len(seen) < _VERSIONS_MIN:
        return Finding(
            outcome="fail" if learned >= _VERSIONS_MIN else "inconclusive",
            summary=f"{plural(len(seen), 'version')} seen after {learned} learning dispatches",
            evidence=shown,
        )
    stale = stood_still(view, view.target.telemetry.path)
    if stale is not None:
        return Finding(
            outcome="fail",
            summary=f"{len(seen)} versions, stale: {stale.text}",
            measured=stale.dispatches,
            limit=1,
            evidence=[stale.evidence, *shown],
        )
    rose = seen[-1][1] > seen[0][1] and seen[-1][2] > seen[0][2]
    return Finding(
        outcome="pass" if rose else "fail",
        summary=f"{len(seen)} versions, all valid; model count {seen[0][1]:g} -> {seen[-1][1]:g}"
        + ("" if rose else " and does not advance"),
        measured=seen[-1][1] - seen[0][1],
        limit=1,
        evidence=shown,
    )


CHECK = Check(
    name="telemetry",
    title="Telemetry",
    origin="plan, soak C: Telemetry",
    judge=judge,
    needs=needs("files", "end", "stack"),
)
