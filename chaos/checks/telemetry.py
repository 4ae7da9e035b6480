"""Telemetry: every version that was seen is valid, none stays while learning goes on, and the model
count really advances.

A file that is replaced is judged from the versions recorded during the run: the last one alone
cannot show that it was torn or stood still an hour ago.
"""

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.standstill import stood_still
from chaos.record.daemon_files import json_of
from chaos.record.open_run import OpenRun

_VERSIONS_MIN = 2
_READINGS = """
select ref, state, model_count, stamp_s from telemetry where state <> 'omitted' order by rowid
"""
_LEARNED = "select count(*) from decisions where completed and kind = 'learning'"


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """The plan, soak C, row "Telemetry: valid JSON, model count increasing"."""
    source = run.target.source("telemetry")
    seen: list[tuple[str, float, float]] = []  # where, model count, time stamp (run seconds)
    wrong: list[Evidence] = []
    for ref, state, models, stamp_s in run.sql(_READINGS):
        if state == "invalid" or models is None or stamp_s is None:
            what = "time stamp" if stamp_s is None and models is not None else "model count"
            text = "was not valid JSON" if state == "invalid" else f"had no {what}"
            wrong.append(Evidence(ref, f"{source.path} {text}"))
            continue
        if seen and models < seen[-1][1]:
            wrong.append(Evidence(ref, f"model count fell: {seen[-1][1]:g} -> {models:g}"))
        if seen and stamp_s < seen[-1][2]:
            wrong.append(Evidence(ref, "time stamp went back"))
        seen.append((ref, models, stamp_s))
    if source.document and seen and (problem := json_of(run.files / source.path)[1]):
        wrong.append(Evidence(f"artefacts/{source.path}", f"the final file {problem}"))
    return [_finding(run, seen, wrong)]


def _finding(run: OpenRun, seen: list[tuple[str, float, float]], wrong: list[Evidence]) -> Finding:
    learned = run.one(_LEARNED)
    shown = [Evidence(ref, f"model count {models:g}") for ref, models, _ in seen[:1] + seen[-1:]]
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
    stale = stood_still(run, "telemetry")
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
    says=("telemetry.model_count", "telemetry.timestamp"),
    title="Telemetry",
    origin="plan, soak C: Telemetry",
    judge=judge,
    depends=depends_on("files", "end", "stack"),
)
