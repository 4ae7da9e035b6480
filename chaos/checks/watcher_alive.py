"""Watcher alive: it did not end before it was told to."""

from __future__ import annotations

from chaos.checks.base import Check, Params
from chaos.checks.finding import Finding, plural
from chaos.checks.run_view import RunView


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak A, "Process alive". A run in which it never started has nothing to say."""
    exits = view.named("watcher_exit")
    if not exits and view.last("ready") is None:
        return []
    deaths = plural(len(exits), "time")
    return [
        Finding(
            outcome="fail" if exits else "pass",
            summary=f"the Watcher died {deaths}" if exits else "the Watcher never ended by itself",
            measured=len(exits),
            limit=0,
            evidence=[
                view.evidence(line, f"died at {event.t_s:.1f} s: {_detail(event.detail)}")
                for line, event in exits
            ],
        )
    ]


def _detail(detail: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in detail.items()) or "no details"


CHECK = Check(
    name="watcher_alive",
    title="Watcher alive",
    origin="plan, soak A: Process alive",
    judge=judge,
    always=True,
)
