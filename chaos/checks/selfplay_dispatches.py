"""Selfplay dispatches: the trigger for selfplay fires, and the work is done."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import EVIDENCE_MAX, Evidence, Finding, plural
from chaos.checks.planted import asked_by_faults
from chaos.checks.run_view import RunView


class SelfplayDispatchesParams(Params, frozen=True):
    """`min`: completed selfplay dispatches that the Watcher's own triggers asked for."""

    min: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(view: RunView, params: SelfplayDispatchesParams) -> list[Finding]:
    """The plan, soak C, row "Selfplay dispatches".

    Neither probes of the harness nor requests that faults have planted are counted: all of them are
    selfplay, so that any fault of the queue would do the trigger's work.
    """
    from chaos.checks.hash_sets import among

    of = view.target.decisions
    table = view.files.decisions
    submitted = view.files.hashes_of(op.id for _, op in view.ops if op.op == "submit")
    selfplay = table.completed & table.dispatched_as(of.dispatch_selfplay)
    own = ~among(table.request, submitted) & ~asked_by_faults(view)
    done = (selfplay & own).nonzero()[0]
    return [
        Finding(
            outcome="pass" if len(done) >= params.min else "fail",
            summary=f"{plural(len(done), 'selfplay dispatch', 'selfplay dispatches')} completed "
            f"(those of probes and faults not counted), at least {params.min} asked",
            measured=len(done),
            limit=params.min,
            evidence=[
                Evidence(view.files.ref(of.path, d.line), f"{d.request}: {d.dispatch} {d.status}")
                for d in table.some(done, EVIDENCE_MAX)
            ],
            evidence_count=len(done),
        )
    ]


CHECK = Check(
    name="selfplay_dispatches",
    title="Selfplay dispatches",
    origin="plan, soak C: Selfplay dispatches",
    judge=judge,
    params=SelfplayDispatchesParams,
    needs=needs("files", "end", "stack"),
)
