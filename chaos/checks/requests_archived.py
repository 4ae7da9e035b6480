"""Requests archived: every request of the workload ended in the archive."""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on, evidence_of
from chaos.checks.finding import Evidence, Finding, plural
from chaos.record.open_run import OpenRun

_NOT_THERE = """
select history_ref(line) as ref, id || ' submitted, not in the archive' as text from ops
where op = 'submit' and outcome = 'ok' and id glob $pattern
and id not in (select name from files where place = 'archived') order by line
"""
_ARCHIVED = "select count(*) from files where place = 'archived' and name glob $pattern"


class RequestsArchivedParams(Params, frozen=True):
    """`count`: archived requests asked for, among those whose file name matches `pattern`."""

    count: Annotated[int, msgspec.Meta(ge=1)]
    pattern: str = "*"


def judge(run: OpenRun, params: RequestsArchivedParams) -> list[Finding]:
    """The plan, soak B, row "Requests archived: 10 / 10"."""
    archived = run.one(_ARCHIVED, {"pattern": params.pattern})
    enough = archived >= params.count
    lost = [] if enough else evidence_of(run, _NOT_THERE, {"pattern": params.pattern}).shown
    folder = f"artefacts/{run.target.work.finished.files.rpartition('/')[0]}"
    return [
        Finding(
            outcome="pass" if enough else "fail",
            summary=f"{plural(archived, 'request')} archived, at least {params.count} asked",
            measured=archived,
            limit=params.count,
            evidence=lost or [Evidence(folder, plural(archived, "file"))],
        )
    ]


CHECK = Check(
    name="requests_archived",
    title="Requests archived",
    origin="plan, soak B: Requests archived",
    judge=judge,
    params=RequestsArchivedParams,
    depends=depends_on("files", "end", "stack"),
)
