"""Telemetry: every version that was seen is valid, none stays while learning goes on, and the model
count really advances.

Judged from the versions recorded during the run: the last file alone cannot show that it was
torn or stood still an hour ago.
"""

from datetime import datetime
from typing import Any

from chaos.base.times import parsed_time
from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.standstill import stood_still
from chaos.record.clock import put_back_one
from chaos.record.daemon_files import json_of
from chaos.record.open_run import OpenRun

_VERSIONS_MIN = 2
_LEARNED = "select count(*) from decisions where completed and kind = 'learning'"


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak C, row "Telemetry: valid JSON, model count increasing"."""
    path = run.target.telemetry.path
    seen: list[tuple[int, float, float]] = []  # line, model count, time stamp (run seconds)
    wrong: list[Evidence] = []
    for line, event in run.named("artefact"):
        if event.detail.get("path") != path or "omitted_bytes" in event.detail:
            continue
        reading = _reading(run, event.detail, event.t_s)
        if isinstance(reading, str):
            wrong.append(run.evidence(line, f"{path} {reading}"))
            continue
        if seen and reading[0] < seen[-1][1]:
            text = f"model count fell: {seen[-1][1]:g} -> {reading[0]:g}"
            wrong.append(run.evidence(line, text))
        if seen and reading[1] < seen[-1][2]:
            wrong.append(run.evidence(line, "time stamp went back"))
        seen.append((line, *reading))
    if (problem := json_of(run.files / path)[1]) and seen:
        wrong.append(Evidence(f"artefacts/{path}", f"the final file {problem}"))
    return [_finding(run, seen, wrong)]


def _reading(run: OpenRun, detail: dict[str, Any], seen_s: float) -> tuple[float, float] | str:
    """(model count, time stamp in run seconds), or what is wrong with this version."""
    of = run.target.telemetry
    content = detail.get("content")
    if detail.get("invalid") or not isinstance(content, dict):
        return "was not valid JSON"
    models = content.get(of.model_count)
    moment: datetime | None = parsed_time(content.get(of.timestamp))
    if isinstance(models, bool) or not isinstance(models, (int, float)):
        return f"had no number {of.model_count}"
    if moment is None:
        return f"had no time stamp {of.timestamp}"
    return float(models), put_back_one(moment.timestamp() - run.epoch_s, seen_s, run.jumps)


def _finding(run: OpenRun, seen: list[tuple[int, float, float]], wrong: list[Evidence]) -> Finding:
    learned = run.one(_LEARNED)
    shown = [
        run.evidence(line, f"model count {models:g}") for line, models, _ in seen[:1] + seen[-1:]
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
    stale = stood_still(run, run.target.telemetry.path)
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
    says=("telemetry.path", "telemetry.model_count", "telemetry.timestamp"),
    title="Telemetry",
    origin="plan, soak C: Telemetry",
    judge=judge,
    depends=depends_on("files", "end", "stack"),
)
