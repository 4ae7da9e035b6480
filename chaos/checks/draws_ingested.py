"""Draws ingested: as many as the injection rate says, and each one looked at once.

Expected is what the injector makes in the time that it lives: a fault that ends it takes that time
away, and the part of an interval that had passed. One that was paused may make up for the draws
that were due meanwhile, or give them up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.run_view import FaultWindow, RunView
from chaos.checks.watcher_files import Draw

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
    due = _due(view, started[1].t_s, stopped[1].t_s if stopped else view.end_s, interval_s)
    added = len(draws) - int(before[1].detail.get("draws", 0))
    amiss, told, seen = _diagnosed(view, draws)
    most, least = due.draws + params.tolerance, due.draws - due.given_up - params.tolerance
    wrong = not least <= added <= most
    summary = (
        f"{added} draws in {due.lasted_s:.0f} s, {due.draws:.1f} expected at one per "
        f"{interval_s:g} s (+/- {params.tolerance}){due.told}{told}"
    )
    evidence = [
        view.evidence(started[0], "the injector started"),
        Evidence(view.files.ref(path), f"{len(draws)} draws in all"),
    ]
    if stopped:
        evidence.insert(1, view.evidence(stopped[0], "the injector was stopped"))
    return [
        Finding(
            outcome="fail" if wrong or amiss else "pass",
            summary=summary,
            measured=added,
            limit=f"{least:.1f} to {most:.1f}",
            evidence=evidence + seen,
        )
    ]


def _diagnosed(view: RunView, draws: list[Draw]) -> tuple[bool, str, list[Evidence]]:
    """(whether anything is amiss with the diagnostics, words for the summary, where to look)."""
    import numpy as np

    of, diagnosed = view.target.paths, view.files.diagnosed
    injected = np.flatnonzero([not draw.bootstrap for draw in draws])
    count = Evidence(
        f"artefacts/{of.diagnostics}",
        f"{len(diagnosed)} diagnostics for {len(injected)} injected draws",
    )
    if not of.diagnostics_draw:
        missing = len(injected) - len(diagnosed)
        told = f"; {missing} of them never diagnosed" if missing > 0 else ""
        only = "; diagnostics were only counted, the target has no selector for their draw"
        return missing > 0, told + only, [count] if missing > 0 else []
    named, times = np.unique(diagnosed.draw, return_counts=True)
    never = np.setdiff1d(injected, named)
    doubled = np.intersect1d(injected, named[times > 1])
    told = f"; {len(never)} of them never diagnosed" if len(never) else ""
    told += f"; {len(doubled)} of them diagnosed more than once" if len(doubled) else ""
    history = view.files.ref(view.target.draws.path)
    seen = [count] if told else []
    seen += [Evidence(history, f"draw {index} was never diagnosed") for index in _some(never)]
    for index in _some(doubled):
        *_, last = paths = diagnosed.paths_of(index)
        text = f"{len(paths)} diagnostics of draw {index}"
        seen.append(Evidence(view.files.ref(last), text))
    return bool(told), told, seen


def _some(indices: npt.NDArray[np.intp]) -> list[int]:
    return [int(index) for index in indices[:EVIDENCE_MAX]]


@dataclass(frozen=True)
class _Due:
    """What the injector owed: `draws`, of which it may have given up some; and why."""

    lasted_s: float
    draws: float
    given_up: int
    told: str


def _due(view: RunView, since_s: float, end_s: float, interval_s: float) -> _Due:
    lives = _lives(view, since_s, end_s)
    given_up = math.ceil(_paused_s(view) / interval_s)
    told = ""
    if len(lives) > 1:
        told += f"; faults ended the injector {plural(len(lives) - 1, 'time')}"
    if given_up:
        told += f"; up to {given_up} fewer, as it was paused"
    lasted_s = sum(until - since for since, until in lives)
    return _Due(lasted_s, _draws_of(lives, interval_s), given_up, told)


def _lives(view: RunView, since_s: float, end_s: float) -> list[tuple[float, float]]:
    """(from, to) of each stretch in which the injector ran."""
    lives = []
    for window in sorted(view.faults, key=lambda w: w.start_s or 0.0):
        down_s = window.start_s
        if down_s is None or "injector" not in (window.trait("ends") or ()):
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


def _paused_s(view: RunView) -> float:
    """How long faults that leave it alive kept the injector from working, in all."""
    total_s = 0.0
    for window in view.faults:
        undo = window.evidence("armed").get("undo")
        ends = "injector" in (window.trait("ends") or ())
        of_injector = isinstance(undo, dict) and undo.get("service") == "injector"
        if of_injector and not ends and window.start_s is not None:
            until_s = window.at_s("recovering")
            total_s += (view.end_s if until_s is None else until_s) - window.start_s
    return total_s


CHECK = Check(
    name="draws_ingested",
    title="Draws ingested",
    origin="plan, soak C: Draws ingested",
    judge=judge,
    params=DrawsIngestedParams,
    needs=needs("files", "end", "stack"),
)
