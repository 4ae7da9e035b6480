"""The attempts of a campaign: what each run showed, and which attempt counts.

An attempt is a run directory at `runs/INDEX/ATTEMPT` with `attempt.json`, the few fields of its
verdict that the whole campaign is judged by. Reads only. Must not know how runs are made.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chaos.base.exitcode import ExitCode
from chaos.campaign.state import CampaignDir, Entry
from chaos.checks.verdict import Verdict
from chaos.record.history import UNREADABLE

ATTEMPT = "attempt.json"
ATTEMPTS_MAX = 3  # of a run that is invalid each time


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A finding without its evidence."""

    check: str
    title: str
    outcome: str
    owner: str
    summary: str
    measured: str | None
    limit: str | None


class FaultRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fault as it struck; times in run seconds.

    `recovery_s`: from the end of the fault until it was seen that what it broke works again.
    """

    fault_id: str
    name: str
    state: str
    injected_s: float | None
    proven_s: float | None
    recovering_s: float | None
    recovered_s: float | None
    recovery_s: float | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """`attempt.json`. `verdict` is "" for a run that ended without one."""

    index: int
    plan_digest: str
    schedule_hash: str
    exit_code: int
    verdict: str
    reason: str
    run_id: str
    ended_epoch_s: float
    lasted_s: float
    findings: tuple[FindingRow, ...] = ()
    faults: tuple[FaultRow, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it says something of the Watcher, so that no further one is made."""
        return self.exit_code != ExitCode.INVALID


@dataclass(frozen=True)
class Made:
    """An attempt in its place; `number` counts from 1."""

    number: int
    path: Path
    attempt: Attempt


def attempt_of(
    entry: Entry, code: int, verdict: Verdict | None, run_id: str, reason: str = ""
) -> Attempt:
    """What a run that has ended with this exit code showed. Without a verdict it is invalid."""
    common = {
        "index": entry.index,
        "plan_digest": entry.plan_digest,
        "schedule_hash": entry.schedule_hash,
        "run_id": run_id,
        "ended_epoch_s": round(time.time(), 3),
    }
    if verdict is None:
        why = reason or f"the run ended with exit code {code} and without a verdict"
        kept = code if code == ExitCode.CLEANUP_INCOMPLETE else int(ExitCode.INVALID)
        return msgspec.convert(
            common | {"exit_code": kept, "verdict": "", "reason": why, "lasted_s": 0.0}, Attempt
        )
    return msgspec.convert(
        common
        | {
            "exit_code": code if code in list(ExitCode) else int(ExitCode.INVALID),
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "lasted_s": verdict.lasted_s,
            "findings": tuple(
                FindingRow(
                    check=finding.check,
                    title=finding.title or finding.check,
                    outcome=finding.outcome,
                    owner=finding.owner,
                    summary=finding.summary,
                    measured=None if finding.measured is None else str(finding.measured),
                    limit=None if finding.limit is None else str(finding.limit),
                )
                for finding in verdict.findings
            ),
            "faults": tuple(
                FaultRow(
                    fault_id=fault.fault_id,
                    name=fault.name,
                    state=fault.state,
                    injected_s=fault.injected_s,
                    proven_s=fault.proven_s,
                    recovering_s=fault.recovering_s,
                    recovered_s=fault.recovered_s,
                    recovery_s=None
                    if fault.recovered_s is None or fault.recovering_s is None
                    else round(fault.recovered_s - fault.recovering_s, 6),
                )
                for fault in verdict.faults
            ),
        },
        Attempt,
    )


def read_attempt(folder: Path) -> Attempt | None:
    """The attempt in that folder; None if there is none, or it cannot be read."""
    with suppress(OSError, *UNREADABLE):
        return msgspec.json.decode((folder / ATTEMPT).read_bytes(), type=Attempt)
    return None


def attempts_of(folder: CampaignDir, entry: Entry) -> list[Made]:
    """The attempts of one run, oldest first; those of another plan do not count."""
    made = []
    with suppress(OSError):
        for path in folder.attempts(entry.index).iterdir():
            if not path.name.isdecimal() or path.is_symlink():
                continue
            attempt = read_attempt(path)
            if attempt and (attempt.index, attempt.plan_digest) == (entry.index, entry.plan_digest):
                made.append(Made(int(path.name), path, attempt))
    return sorted(made, key=lambda one: one.number)


def counting(made: Sequence[Made]) -> Made | None:
    """The one that counts: the first complete one; else the last; None without any."""
    first = next((one for one in made if one.attempt.complete), None)
    return first or (made[-1] if made else None)


def is_open(made: Sequence[Made]) -> bool:
    """Whether one more attempt is to be made: only after invalid ones, and only so many."""
    return not any(one.attempt.complete for one in made) and len(made) < ATTEMPTS_MAX


def disagree(made: Iterable[Made]) -> bool:
    """Whether complete attempts of the same run came to different verdicts."""
    return len({one.attempt.verdict for one in made if one.attempt.complete}) > 1
