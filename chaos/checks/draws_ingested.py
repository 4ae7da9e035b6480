"""Draws ingested: as many as the injection rate says, and each one looked at once.

Expected is what the injector makes in the time that it lives: a fault that ends it takes that time
away, and the part of an interval that had passed. One that was paused may make up for the draws
that were due meanwhile, or give them up.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import msgspec

from chaos.base.yamlfile import texts
from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, Outcome, plural
from chaos.record.daemon_files import problem_of
from chaos.record.fault_window import FaultWindow
from chaos.record.open_run import OpenRun

_RATE = "{draw_interval_s}"
_COUNTS = """
select (select count(*) from draws where not bootstrap), (select count(*) from diagnostics)
"""
_NEVER = """
select 'artefacts/' || $path as ref, 'draw ' || number || ' was never diagnosed' as text from draws
where not bootstrap and number not in (select draw from diagnostics where draw is not null)
order by number
"""
_DOUBLED = """
select 'artefacts/' || max(path) as ref, count(*) || ' diagnostics of draw ' || draw as text
from diagnostics where draw in (select number from draws where not bootstrap)
group by draw having count(*) > 1 order by draw
"""


class DrawsIngestedParams(Params, frozen=True):
    """`tolerance`: how many draws more or less than the rate says."""

    tolerance: Annotated[int, msgspec.Meta(ge=0)] = 2


def judge(run: OpenRun, params: DrawsIngestedParams) -> list[Finding]:
    """The plan, soak C, row "Draws ingested: matches injection rate (± 2)"."""
    source = run.target.source("draws")
    path = source.path
    if problem := problem_of(run.files, source):
        text = f"{path} {problem}"
        evidence = [Evidence(f"artefacts/{path}", text)]
        return [Finding(outcome="fail", summary=text, evidence=evidence)]
    started, before = run.last("injector_started"), run.last("baseline_files")
    interval_s = float(run.profile.get("settings", {}).get("draw_interval_s", 0) or 0)
    if started is None or before is None or interval_s <= 0:
        return [Finding(outcome="inconclusive", summary="no draw was injected in this run")]
    if "draws" not in before[1].detail:
        text = "the draws there were before were not counted: records.draws is no plain select"
        return [Finding(outcome="inconclusive", summary=text)]
    stopped = run.last("injector_stopped")
    due = _due(run, started[1].t_s, stopped[1].t_s if stopped else run.end_s, interval_s)
    count = run.one("select count(*) from draws")
    added = count - int(before[1].detail["draws"])
    amiss, words, shown = _diagnosed(run)
    most, least = due.draws + params.tolerance, due.draws - due.given_up - params.tolerance
    evidence = [
        run.evidence(started[0], "the injector started"),
        Evidence(f"artefacts/{path}", f"{count} draws in all"),
    ]
    if stopped:
        evidence.insert(1, run.evidence(stopped[0], "the injector was stopped"))
    if not _told_the_rate(run):
        text = f"{plural(added, 'draw')}{words}; how many were due is not judged: the target does "
        text += f"not give {_RATE} to its injector"
        outcome: Outcome = "fail" if amiss else "unverified"
        return [Finding(outcome=outcome, summary=text, measured=added, evidence=evidence + shown)]
    return [
        Finding(
            outcome="pass" if least <= added <= most and not amiss else "fail",
            summary=f"{added} draws in {due.lasted_s:.0f} s, {due.draws:.1f} expected at one per "
            f"{interval_s:g} s (+/- {params.tolerance}){due.words}{words}",
            measured=added,
            limit=f"{least:.1f} to {most:.1f}",
            evidence=evidence + shown,
        )
    ]


def _told_the_rate(run: OpenRun) -> bool:
    """Whether the target fills the soak's interval into what the injector reads."""
    target = run.target
    start = target.injector.start if target.injector else []
    return any(_RATE in text for _, text in texts([target.policies.values, start, target.env]))


def _diagnosed(run: OpenRun) -> tuple[bool, str, list[Evidence]]:
    """(whether anything is amiss with the diagnostics, words for the summary, where to look)."""
    of = run.target.paths
    injected, diagnosed = run.one(_COUNTS)
    text = f"{diagnosed} diagnostics for {injected} injected draws"
    count = Evidence(f"artefacts/{of.diagnostics}", text)
    if not of.diagnostics_draw:
        missing = injected - diagnosed
        words = f"; {missing} of them never diagnosed" if missing > 0 else ""
        only = "; diagnostics were only counted, the target has no selector for their draw"
        return missing > 0, words + only, [count] if missing > 0 else []
    never = evidence_of(run, _NEVER, {"path": run.target.source("draws").path})
    doubled = evidence_of(run, _DOUBLED)
    words = f"; {never.count} of them never diagnosed" if never.count else ""
    words += f"; {doubled.count} of them diagnosed more than once" if doubled.count else ""
    shown = [count, *never.shown, *doubled.shown] if words else []
    return bool(words), words, shown


@dataclass(frozen=True)
class _Due:
    """What the injector owed: `draws`, of which it may have given up some; and why."""

    lasted_s: float
    draws: float
    given_up: int
    words: str


def _due(run: OpenRun, since_s: float, end_s: float, interval_s: float) -> _Due:
    lives = _lives(run, since_s, end_s)
    given_up = math.ceil(_paused_s(run) / interval_s)
    words = ""
    if len(lives) > 1:
        words += f"; faults ended the injector {plural(len(lives) - 1, 'time')}"
    if given_up:
        words += f"; up to {given_up} fewer, as it was paused"
    lasted_s = sum(until - since for since, until in lives)
    return _Due(lasted_s, _draws_of(lives, interval_s), given_up, words)


def _lives(run: OpenRun, since_s: float, end_s: float) -> list[tuple[float, float]]:
    """(from, to) of each stretch in which the injector ran."""
    lives = []
    for window in sorted(run.faults, key=lambda w: w.start_s or 0.0):
        down_s = window.start_s
        if down_s is None or "injector" not in window.ends:
            continue
        lives.append((since_s, min(down_s, end_s)))
        since_s = _back_s(window, down_s, end_s)
    return [*lives, (since_s, max(since_s, end_s))]


def _back_s(window: FaultWindow, down_s: float, end_s: float) -> float:
    """When it ran again: as the fault measured it, else when that was proven, else never."""
    for state in ("recovered", "recovery_unproven"):
        lasted_s = window.evidence(state).get("down_s")
        if isinstance(lasted_s, (int, float)):
            return min(down_s + lasted_s, end_s)
    return end_s if window.end_s is None else min(window.end_s, end_s)


def _draws_of(lives: list[tuple[float, float]], interval_s: float) -> float:
    """Each life makes a draw after each whole interval; how far the last one got is not known."""
    *ended, last = [(until - since) / interval_s for since, until in lives]
    return sum(math.floor(draws) for draws in ended) + last


def _paused_s(run: OpenRun) -> float:
    """How long faults that leave it alive kept the injector from working, in all."""
    total_s = 0.0
    for window in run.injected_faults:
        of_injector = window.undo.get("service") == "injector"
        if of_injector and "injector" not in window.ends and window.start_s is not None:
            until_s = window.at_s("recovering")
            total_s += (run.end_s if until_s is None else until_s) - window.start_s
    return total_s


CHECK = Check(
    name="draws_ingested",
    says=(
        "injector",
        "paths.diagnostics",
        "draws.source",
        "draws.bootstrap_source",
    ),
    title="Draws ingested",
    origin="plan, soak C: Draws ingested",
    judge=judge,
    params=DrawsIngestedParams,
    depends=depends_on("files", "end", "stack"),
)
