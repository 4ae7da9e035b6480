"""Requests pending: nothing waits, and nothing is held, when the run is over."""

from __future__ import annotations

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.planted import planted_files
from chaos.checks.run_view import RunView


def judge(view: RunView, params: Params) -> list[Finding]:
    """The plan, soak B, row "Requests pending after test: 0"."""
    files, queue = view.files, view.target.queue
    stuck = [
        Evidence(f"artefacts/{pattern.rpartition('/')[0]}/{name}", text)
        for pattern, names, text in (
            (queue.pending, files.pending, "still pending"),
            (queue.claimed, files.claimed, "claimed, not done"),
        )
        for name in names
    ]
    odd = [one for one in planted_files(view) if "irregular" in one.places]
    stuck += [one.evidence("is no plain file, and still waits") for one in odd]
    return [
        Finding(
            outcome="fail" if stuck else "pass",
            summary=f"{plural(len(files.pending), 'request')} pending, "
            f"{len(files.claimed)} claimed after the run",
            measured=len(stuck),
            limit=0,
            evidence=stuck,
        )
    ]


CHECK = Check(
    name="requests_pending",
    title="Requests pending",
    origin="plan, soak B: Requests pending after test",
    judge=judge,
    needs=needs("files", "end", "stack"),
)
