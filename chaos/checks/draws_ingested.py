"""Draws ingested: as many as the injection rate says, and each one looked at."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding
from chaos.checks.run_view import RunView


class DrawsIngestedParams(Params, frozen=True):
    """`tolerance`: how many draws more or less than the rate says."""

    tolerance: Annotated[int, msgspec.Meta(ge=0)] = 2


def judge(view: RunView, params: DrawsIngestedParams) -> list[Finding]:
    """The plan, soak C, row "Draws ingested: matches injection rate (± 2)"."""
    draws, problem = view.files.draws
    path = view.target.draws.path
    if problem:
        text = f"{path} {problem}"
        return [
            Finding(outcome="fail", summary=text, evidence=[Evidence(view.files.ref(path), text)])
        ]
    started, before = view.last("injector_started"), view.last("baseline_files")
    interval_s = float(view.profile.get("settings", {}).get("draw_interval_s", 0) or 0)
    if started is None or before is None or interval_s <= 0:
        return [Finding(outcome="inconclusive", summary="no draw was injected in this run")]
    stopped = view.last("injector_stopped")
    lasted_s = (stopped[1].t_s if stopped else view.end_s) - started[1].t_s
    expected = lasted_s / interval_s
    added = len(draws) - int(before[1].detail.get("draws", 0))
    injected = sum(not draw.bootstrap for draw in draws)
    undiagnosed = injected - len(view.files.diagnosed)
    wrong = abs(added - expected) > params.tolerance
    summary = (
        f"{added} draws in {lasted_s:.0f} s, {expected:.1f} expected at one per {interval_s:g} s "
        f"(+/- {params.tolerance})"
    )
    evidence = [
        view.evidence(started[0], "the injector started"),
        Evidence(view.files.ref(path), f"{len(draws)} draws in all"),
    ]
    if stopped:
        evidence.insert(1, view.evidence(stopped[0], "the injector was stopped"))
    if undiagnosed > 0:
        summary += f"; {undiagnosed} of them never diagnosed"
        evidence.append(
            Evidence(
                f"artefacts/{view.target.paths.diagnostics}",
                f"{len(view.files.diagnosed)} diagnostics for {injected} injected draws",
            )
        )
    return [
        Finding(
            outcome="fail" if wrong or undiagnosed > 0 else "pass",
            summary=summary,
            measured=added,
            limit=f"{expected:.1f} +/- {params.tolerance}",
            evidence=evidence,
        )
    ]


CHECK = Check(
    name="draws_ingested",
    title="Draws ingested",
    origin="plan, soak C: Draws ingested",
    judge=judge,
    params=DrawsIngestedParams,
    needs=needs("files", "end", "stack"),
)
