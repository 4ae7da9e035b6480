"""The result of a campaign: the attempts that count, findings by fault, times of recovery.

Pure, except for the listing that it is made from. Must not know how it is shown.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

import msgspec

from chaos.base.exitcode import ExitCode
from chaos.campaign.attempts import Made, attempts_of, counting, disagree
from chaos.campaign.state import Campaign, CampaignDir, Entry
from chaos.record.batch_list import NOT_MADE, CampaignResult

# Worst first: what remains on a machine, proof against the Watcher, then what proves nothing.
_WORST = (
    ExitCode.CLEANUP_INCOMPLETE,
    ExitCode.FAIL,
    ExitCode.GUARDRAIL,
    ExitCode.INVALID,
    ExitCode.USAGE,
    ExitCode.INCONCLUSIVE,
)
WORDS = ("fail", "invalid", NOT_MADE, "unverified", "inconclusive", "pass")  # worst first
_OUTCOMES = ("fail", "invalid", "unverified", "inconclusive")  # of findings, worst first


@dataclass(frozen=True)
class Row:
    """One planned run, and what was made of it."""

    entry: Entry
    made: tuple[Made, ...]

    @property
    def counts(self) -> Made | None:
        """The attempt that counts."""
        return counting(self.made)

    @property
    def word(self) -> str:
        """Its verdict; `invalid` without one, `not made` without an attempt."""
        return NOT_MADE if self.counts is None else self.counts.attempt.verdict or "invalid"

    @property
    def failed(self) -> list[str]:
        """The findings that did not pass: title and summary, worst first."""
        if self.counts is None:
            return []
        found = [f for f in self.counts.attempt.findings if f.outcome in _OUTCOMES]
        found.sort(key=lambda f: _OUTCOMES.index(f.outcome))
        return [f"{f.title}: {f.summary}" for f in found]


@dataclass(frozen=True)
class Cell:
    """A finding under a fault: how often it had which outcome that is no pass."""

    counts: dict[str, int]  # worst first
    runs: int  # that judged it

    @property
    def worst(self) -> str:
        """The worst outcome; "" if it passed each time."""
        return next(iter(self.counts), "")


@dataclass(frozen=True)
class Recovery:
    """How long a kind of fault took to be recovered from, in s; `values_s` ascending."""

    fault: str
    values_s: tuple[float, ...]
    unrecovered: int  # struck, and not seen to be recovered from

    @property
    def median_s(self) -> float:
        """The median of the recovery times, in s."""
        return float(median(self.values_s))

    @property
    def p90_s(self) -> float:
        """The smallest one that nine of ten do not exceed."""
        return self.values_s[-(-9 * len(self.values_s) // 10) - 1]


@dataclass(frozen=True)
class Result:
    """All rows of one campaign, or of its part."""

    campaign: Campaign
    rows: tuple[Row, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> number of runs, worst first."""
        found = Counter(row.word for row in self.rows)
        return {word: found[word] for word in WORDS if found[word]}

    @property
    def exit_code(self) -> ExitCode:
        """The worst of all; a missing run is never a pass."""
        made = [row.counts for row in self.rows]
        codes = {ExitCode.INCONCLUSIVE if m is None else m.attempt.exit_code for m in made}
        return next((code for code in _WORST if code in codes), ExitCode.PASS)

    @property
    def word(self) -> str:
        """FAIL, NOT FINISHED, NOT PROVEN or PASS: the headline."""
        words = {row.word for row in self.rows}
        if "fail" in words:
            return "FAIL"
        if NOT_MADE in words:
            return "NOT FINISHED"
        return "PASS" if self.exit_code == ExitCode.PASS else "NOT PROVEN"

    @property
    def worst(self) -> list[Row]:
        """The rows that did not pass, worst first."""
        found = [row for row in self.rows if row.word not in ("pass", NOT_MADE)]
        return sorted(found, key=lambda row: (WORDS.index(row.word), row.entry.index))

    @property
    def disagreeing(self) -> list[Row]:
        """The rows whose complete attempts came to different verdicts."""
        return [row for row in self.rows if disagree(row.made)]

    @cached_property
    def faults(self) -> list[str]:
        """The columns of the matrix, in the order of the plan."""
        return list(dict.fromkeys(row.entry.fault for row in self.rows))

    @cached_property
    def matrix(self) -> list[tuple[str, dict[str, Cell]]]:
        """(title of a finding, fault -> cell) for each that did not always pass, worst first."""
        seen: dict[tuple[str, str], Counter[str]] = {}
        for row in self.rows:
            for finding in row.counts.attempt.findings if row.counts else ():
                key = finding.title, row.entry.fault
                seen.setdefault(key, Counter())[finding.outcome] += 1
        table: dict[str, dict[str, Cell]] = {}
        for (title, fault), outcomes in seen.items():
            bad = {word: outcomes[word] for word in _OUTCOMES if outcomes[word]}
            judged = outcomes.total() - outcomes["skipped"]
            table.setdefault(title, {})[fault] = Cell(bad, judged)
        rows = [item for item in table.items() if any(cell.worst for cell in item[1].values())]
        return sorted(rows, key=_badness)

    @property
    def recoveries(self) -> list[Recovery]:
        """Each kind of fault that struck; the one with the longest recovery first."""
        found: dict[str, list[float | None]] = {}
        for row in self.rows:
            for fault in row.counts.attempt.faults if row.counts else ():
                if fault.proven_s is not None:
                    found.setdefault(fault.name, []).append(fault.recovery_s)
        all_of = []
        for name, values in found.items():
            known = tuple(sorted(value for value in values if value is not None))
            all_of.append(Recovery(name, known, len(values) - len(known)))
        return sorted(all_of, key=lambda r: (-max(r.values_s, default=float("inf")), r.fault))


def _badness(item: tuple[str, dict[str, Cell]]) -> tuple[Any, ...]:
    title, cells = item
    totals = [sum(cell.counts.get(word, 0) for cell in cells.values()) for word in _OUTCOMES]
    return *(-total for total in totals), title


def result_of(folder: CampaignDir, campaign: Campaign) -> Result:
    """The result from the attempts that lie in the folder now."""
    rows = (Row(entry, tuple(attempts_of(folder, entry))) for entry in campaign.share)
    return Result(campaign, tuple(rows))


def as_json(result: Result) -> dict[str, Any]:
    """The whole result, for `--json`."""
    return {
        "word": result.word,
        "exit_code": int(result.exit_code),
        "plan": result.campaign.plan,
        "counts": result.counts,
        "runs": [_row_json(row) for row in result.rows],
        "findings": {
            title: {fault: cell.counts for fault, cell in cells.items() if cell.worst}
            for title, cells in result.matrix
        },
        "recovery_s": {r.fault: list(r.values_s) for r in result.recoveries},
        "disagreeing": [row.entry.index for row in result.disagreeing],
    }


def listed_json(result: Result) -> str:
    """`result.json`: what a list of batches shows of it."""
    entries = [row.entry for row in result.rows]
    soaks = dict.fromkeys(entry.soak for entry in entries)
    shard = result.campaign.shard
    part = f"part {shard[0]} of {shard[1]}, " if shard else ""
    shown = CampaignResult(
        word=result.word,
        of=", ".join(dict.fromkeys(entry.target or "reference" for entry in entries)),
        asked=f"{part}{len(entries)} runs: {', '.join(soaks)}",
        counts=result.counts,
    )
    return msgspec.json.format(msgspec.json.encode(shown)).decode() + "\n"


def _row_json(row: Row) -> dict[str, Any]:
    entry, made = row.entry, row.counts
    return {
        "run": entry.index,
        "soak": entry.soak,
        "fault": entry.fault,
        "target": entry.target,
        "seed": entry.seed,
        "verdict": row.word,
        "exit_code": made.attempt.exit_code if made else None,
        "attempts": [{"attempt": m.number, "verdict": m.attempt.verdict} for m in row.made],
        "counts": made.number if made else None,
        "command": entry.command,
    }


def shown_first(texts: Sequence[str]) -> str:
    """The first text, and how many more there are."""
    if not texts:
        return ""
    return texts[0] + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else "")
