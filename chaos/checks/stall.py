"""Stall: work waits and nothing is decided. A process that is alive proves nothing by that."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Finding
from chaos.checks.run_view import RunView


class StallParams(Params, frozen=True):
    """The longest stretch with work waiting and no decision, outside the fault windows.

    `polls` of the target's poll interval, or `limit_s`, whichever is longer (both 0: the
    profile's `drain_limit_s`).
    """

    polls: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def judge(view: RunView, params: StallParams) -> list[Finding]:
    """One escalation can halt everything silently: alive, no error, and no progress."""
    longest_s, line = longest_stall(view)
    limit_s = max(params.limit_s, params.polls * view.target.poll_interval_s)
    limit_s = limit_s or float(view.profile.get("drain_limit_s", 60.0))
    pending = view.samples.column("queue.pending")
    if not (pending == pending).any():
        return [Finding(outcome="inconclusive", summary="the queue was never sampled")]
    stalled = longest_s > limit_s
    return [
        Finding(
            outcome="fail" if stalled else "pass",
            summary=f"work waited at most {longest_s:.1f} s without a decision, fault windows "
            f"left out (limit {limit_s:g} s)",
            measured=round(longest_s, 3),
            limit=limit_s,
            evidence=[view.evidence(line, f"no decision for {longest_s:.1f} s")] if line else [],
        )
    ]


def longest_stall(view: RunView) -> tuple[float, int]:
    """(seconds, history line) of the longest stretch in which requests waited and no decision
    was written, fault windows left out.
    """
    import numpy as np

    table = view.samples
    if len(table) < 2:
        return 0.0, 0
    t_s = table.t_s
    waiting = np.nan_to_num(table.column("queue.pending"))
    waiting = waiting + np.nan_to_num(table.column("queue.claimed"))
    lines = np.nan_to_num(table.column("decisions.lines"), nan=-1.0)
    moved = np.append(True, lines[1:] != lines[:-1]) | (waiting == 0)
    passed = np.append(0.0, np.diff(t_s))
    passed[moved | view.in_faults(t_s)] = 0.0
    stalled = np.cumsum(passed, out=passed)
    stalled = stalled - np.maximum.accumulate(np.where(moved, stalled, 0.0))
    longest = int(np.argmax(stalled))
    longest_s = float(stalled[longest])
    return (longest_s, int(table.lines[longest])) if longest_s > 0 else (0.0, 0)


CHECK = Check(
    name="stall",
    title="Progress",
    judge=judge,
    params=StallParams,
    needs=needs("stack"),
)
