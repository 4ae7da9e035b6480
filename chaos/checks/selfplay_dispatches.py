"""Selfplay dispatches: the trigger for selfplay fires, and the work is done."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.planted import ASKED_BY_FAULTS
from chaos.record.open_run import OpenRun

_OWN = f"""
select decision_ref(line) as ref, request || ': ' || dispatch || ' ' || status as text
from decisions where completed and kind = 'selfplay'
and request not in (select id from ops where op = 'submit')
and line not in ({ASKED_BY_FAULTS})
order by line
"""
# Requests for selfplay that are not of the harness. Those of faults count: better judged than not.
_ASKED = """
select count(*) from request_types
where type = 'selfplay' and name not in (select id from ops where op = 'submit')
"""


class SelfplayDispatchesParams(Params, frozen=True):
    """`min`: completed selfplay dispatches that the Watcher's own triggers asked for."""

    min: Annotated[int, msgspec.Meta(ge=1)] = 1


def judge(run: OpenRun, params: SelfplayDispatchesParams) -> list[Finding]:
    """The plan, soak C, row "Selfplay dispatches".

    Neither probes of the harness nor requests that faults have planted are counted: all of them are
    selfplay, so that any fault of the queue would do the trigger's work.
    """
    done = evidence_of(run, _OWN)
    work, silent = run.target.work, []
    if done.count < params.min and work.type_field and not run.one(_ASKED):
        text = "the daemon asked for no selfplay by itself"
        if not work.emits_selfplay:
            text += "; where it has to, the target says work.emits_selfplay, and where it never "
            text += "does, it lists this check under not_applicable"
            return [Finding(outcome="unverified", summary=text)]
        silent = [Evidence("history.jsonl", text)]
    return [
        Finding(
            outcome="pass" if done.count >= params.min else "fail",
            summary=f"{plural(done.count, 'selfplay dispatch', 'selfplay dispatches')} completed "
            f"(those of probes and faults not counted), at least {params.min} asked",
            measured=done.count,
            limit=params.min,
            evidence=[*silent, *done.shown],
            evidence_count=done.count + len(silent),
        )
    ]


CHECK = Check(
    name="selfplay_dispatches",
    # Without what emitted a request nobody knows that the daemon has such a trigger.
    says=(
        "decisions.request",
        "decisions.status",
        "decisions.kind",
        "paths.diagnostics_requests",
    ),
    title="Selfplay dispatches",
    origin="plan, soak C: Selfplay dispatches",
    judge=judge,
    params=SelfplayDispatchesParams,
    depends=depends_on("files", "end", "stack"),
)
