"""The programs that are judged for growth: the Watcher, and the services of the target."""

from collections.abc import Callable

import msgspec

from chaos.checks.finding import Finding
from chaos.record.open_run import OpenRun


def services_of(run: OpenRun) -> list[str]:
    """The services of the target that ran, as far as they were sampled."""
    return [name for name in run.target.services if run.sampled(f"{name}.pid")]


def of_programs(run: OpenRun, judge: Callable[[str], Finding]) -> list[Finding]:
    """One finding: the Watcher's, or that of the first service that fails where it does not.

    What is inconclusive for a service leaves the Watcher's finding as it is.
    """
    found = {name: judge(name) for name in ("watcher", *services_of(run))}
    failed = [name for name, finding in found.items() if finding.outcome == "fail"]
    chosen = failed[0] if failed else "watcher"
    finding = found.pop(chosen)
    whose = "" if chosen == "watcher" else f"{chosen}: "
    others = "".join(f"; {name}: {other.outcome}" for name, other in found.items())
    evidence = [one for other in found.values() for one in other.evidence]
    return [
        msgspec.structs.replace(
            finding,
            summary=f"{whose}{finding.summary}{others}",
            evidence=[*finding.evidence, *evidence],
        )
    ]
