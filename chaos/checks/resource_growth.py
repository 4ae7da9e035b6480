"""Resource growth: threads, children, zombies, sockets by state, temporary files.

What a memory trend does not show: a connection that is never closed costs a kilobyte and, in the
end, all descriptors.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding, Outcome
from chaos.checks.growth.counted import judged_count
from chaos.checks.growth.programs import services_of
from chaos.record.open_run import OpenRun

SIGNALS = {
    "watcher.threads": "threads",
    "watcher.children": "children",
    "watcher.zombies": "zombies",
    "watcher.sockets_close_wait": "sockets in CLOSE_WAIT",
    "watcher.sockets_established": "established sockets",
    "watcher.sockets_other": "other sockets",
    "workspace.temp_files": "temporary files",
}


class ResourceGrowthParams(Params, frozen=True):
    """`tolerance`: so many more of each may be there at the end of the judged span."""

    tolerance: Annotated[float, msgspec.Meta(gt=0)] = 3.0


def watched(run: OpenRun) -> dict[str, str]:
    """Signal -> its name: of the Watcher, then of the target's services."""
    return SIGNALS | {
        f"{service}.{name}": f"{name} of {service}"
        for service in services_of(run)
        for name in ("threads", "children")
    }


def judge(run: OpenRun, params: ResourceGrowthParams) -> list[Finding]:
    """One finding over all signals that were sampled; the worst of them decides."""
    signals = watched(run)
    judged = [
        found
        for key, name in signals.items()
        if (found := judged_count(run, key, name, params.tolerance)) is not None
    ]
    if not judged:
        return [Finding(outcome="inconclusive", summary="none of the signals was ever sampled")]
    outcomes = [one.outcome for one in judged]
    worst: Outcome = next((o for o in ("fail", "inconclusive") if o in outcomes), "pass")
    named = [one for one in judged if one.outcome == worst]
    absent = len(signals) - len(judged)
    if worst == "pass":
        summary = f"no growth of {', '.join(one.name for one in judged)}"
    else:
        summary = "; ".join(one.text for one in named)
    summary += f" (tolerance {params.tolerance:g})" + (f"; {absent} not sampled" if absent else "")
    return [
        Finding(
            outcome=worst,
            summary=summary,
            measured=max(one.rise for one in named),
            limit=params.tolerance,
            evidence=[
                Evidence("history.jsonl", one.text)
                for one in sorted(judged, key=lambda one: one.outcome != worst)
            ],
        )
    ]


CHECK = Check(
    name="resource_growth",
    title="Resource growth",
    judge=judge,
    params=ResourceGrowthParams,
)
