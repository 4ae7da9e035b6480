"""The batches of a list: what made many runs for one answer. A sweep, a comparison, a campaign.

Each is a folder with a state file, named after its noun, and the fields of that file that a list
shows. Reads only. Must not know how a batch is made.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from chaos.record.list_fields import began_s, fields_of, kept

SWEEPS = "sweep"  # the folder of the sweeps: below that of the runs, and in a gate's
COMPARISONS = "compare"
CAMPAIGNS = "campaign"
CAMPAIGN_RESULT = "result.json"  # what a campaign showed when it was left: `CampaignResult`
NAMES = {SWEEPS: "sweep", COMPARISONS: "comparison", CAMPAIGNS: "campaign"}  # for people
NOT_FINISHED = "NOT FINISHED"
NOT_MADE = "not made"  # in the counts of a campaign: runs that are still to be made

SweepWord = Literal["SURVIVED", "NOT CRASH-SAFE", "NOT PROVEN", "NOT FINISHED"]


def sweep_word(state: str, outcomes: Iterable[str]) -> SweepWord:
    """SURVIVED only if every break that was asked for struck and was survived."""
    found = set(outcomes)
    if "failed" in found:
        return "NOT CRASH-SAFE"
    if state != "complete" or not found:
        return "NOT FINISHED"
    return "SURVIVED" if found == {"survived"} else "NOT PROVEN"


class BatchEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One batch. `id` is its path below the folder; `gate` the id of its gate, "" without one.

    `of`: the target, or what is compared. `asked`: what was asked of it, as text.
    `counts`: outcome -> number of breaks, runs or pairs, e.g. {"survived": 11, "failed": 1}.
    """

    id: str
    noun: str
    gate: str = ""
    began_epoch_s: float = 0.0
    word: str = ""  # "" if it is damaged
    ended: bool = True  # nothing is left to be made
    reason: str = ""
    of: str = ""
    asked: str = ""
    counts: dict[str, int] = {}
    problem: str = ""

    @property
    def counts_text(self) -> str:
        """`11 survived, 1 failed`; "" if nothing was made."""
        return ", ".join(f"{count} {word}" for word, count in self.counts.items())


# -- the wanted fields of the files -----------------------------------------------------------


class _Asked(msgspec.Struct):
    target: str | None = None
    kinds: tuple[str, ...] = ()


class _Counted(msgspec.Struct):
    """A point, or a planned run: only how many there are is shown."""


class _Break(msgspec.Struct):
    outcome: Literal["survived", "failed", "not reached", "unverified", "invalid"]


class _Sweep(msgspec.Struct):
    asked: _Asked
    state: str
    reason: str = ""
    points: list[_Counted] = []
    results: list[_Break] = []

    def shown(self) -> BatchEntry:
        outcomes: Counter[str] = Counter(result.outcome for result in self.results)
        return BatchEntry(
            id="",
            noun=SWEEPS,
            word=sweep_word(self.state, outcomes),
            ended=self.state in ("complete", "stopped"),
            reason=self.reason,
            of=self.asked.target or "reference",
            asked=f"{len(self.points)} points: {', '.join(self.asked.kinds[:8])}",
            counts=dict(outcomes),
        )


class _Compared(msgspec.Struct):
    base: str
    candidate: str
    soak: str
    faults: tuple[str, ...] = ()


class _Pair(msgspec.Struct):
    void: str = ""


class _Compare(msgspec.Struct):
    asked: _Compared
    state: str
    reason: str = ""
    word: str = ""
    pairs: list[_Pair] = []

    def shown(self) -> BatchEntry:
        ended = self.state in ("complete", "stopped")
        counts = Counter("void" if pair.void else "counted" for pair in self.pairs)
        return BatchEntry(
            id="",
            noun=COMPARISONS,
            word=self.word if ended or self.word in ("PASS", "BLOCK") else NOT_FINISHED,
            ended=ended,
            reason=self.reason,
            of=f"{self.asked.candidate} against {self.asked.base}",
            asked=f"{self.asked.soak} under {', '.join(self.asked.faults[:8]) or 'no fault'}",
            counts={f"{word} pairs": count for word, count in sorted(counts.items())},
        )


class CampaignResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result.json` of a campaign, or of its part. `counts`: verdict -> number of runs."""

    word: str
    of: str
    asked: str
    counts: dict[str, int]

    def shown(self) -> BatchEntry:
        """Its entry; id and time are those of its folder, which `BatchKind.entry` adds."""
        return BatchEntry(
            id="",
            noun=CAMPAIGNS,
            word=self.word,
            ended=NOT_MADE not in self.counts,
            of=self.of,
            asked=self.asked,
            counts=self.counts,
        )


class _Campaign(msgspec.Struct):
    """`campaign.json`: of one that was never left by its own process."""

    entries: list[_Counted]

    def shown(self) -> BatchEntry:
        asked = f"{len(self.entries)} runs"
        return BatchEntry(id="", noun=CAMPAIGNS, word=NOT_FINISHED, ended=False, asked=asked)


_Content = _Sweep | _Compare | _Campaign | CampaignResult


@dataclass(frozen=True)
class BatchKind:
    """One kind of batch, and where its folder has what.

    `sources`: file -> its fields; the first file that is there is read. `page`: its HTML page.
    The runs lie two folders deep: below the folder `runs`, or below the batch itself if that is "".
    `no_runs`: a folder of the batch that has no runs, "" without one.
    """

    noun: str
    page: str
    sources: dict[str, type[_Content]]
    runs: str = ""
    no_runs: str = ""

    def entry(self, root: Path, batch_id: str) -> BatchEntry:
        """The entry of the batch in that folder below `root`."""
        blank = BatchEntry(
            id=batch_id,
            noun=self.noun,
            gate=batch_id.rsplit("/", 2)[0] if batch_id.count("/") == 3 else "",
            began_epoch_s=began_s(root, batch_id),
        )
        for name, content in self.sources.items():
            found, problem = fields_of(root, f"{batch_id}/{name}", content)
            if found is not None:
                return _shown(blank, found.shown())
            if problem:
                return msgspec.structs.replace(blank, problem=problem)
        return blank


KINDS = {
    kind.noun: kind
    for kind in (
        BatchKind(SWEEPS, "sweep.html", {"sweep.json": _Sweep}),
        BatchKind(COMPARISONS, "compare.html", {"compare.json": _Compare}, no_runs="revisions"),
        BatchKind(
            CAMPAIGNS,
            "campaign.html",
            {CAMPAIGN_RESULT: CampaignResult, "campaign.json": _Campaign},
            runs="runs",
        ),
    )
}


def _shown(blank: BatchEntry, content: BatchEntry) -> BatchEntry:
    """What the content says, at the place and time of `blank`."""
    return msgspec.structs.replace(
        content,
        id=blank.id,
        gate=blank.gate,
        began_epoch_s=blank.began_epoch_s,
        word=kept(content.word),
        reason=kept(content.reason),
        of=kept(content.of),
        asked=kept(content.asked),
        counts={kept(word): count for word, count in content.counts.items()},
    )
