"""The list of runs as a page shows it: filtered, in pages, and as a matrix over time.

Pure: no files, no markup.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from chaos.record.run_list import WORDS, RunEntry

PAGE_RUNS = 100
_CELLS_MAX = 60  # of one row of the matrix: the newest
_ROWS_MAX = 60


@dataclass(frozen=True)
class Filter:
    """What is shown. "" shows all."""

    soak: str = ""
    fault: str = ""
    verdict: str = ""
    text: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filter":
        """The filter that the query of an address asks for."""
        return cls(*(query.get(name, "").strip()[:200] for name in cls.__dataclass_fields__))

    def query(self, **more: object) -> str:
        """The query of an address for this filter."""
        values = {**self.__dict__, **more}
        return urlencode({name: value for name, value in values.items() if value})

    def matches(self, run: RunEntry) -> bool:
        """True if the run is to be shown."""
        return (
            self.soak in ("", run.soak)
            and self.verdict in ("", run.word)
            and (not self.fault or self.fault in (run.faults or ("none",)))
            and all(word in searched(run) for word in self.text.lower().split())
        )


def searched(run: RunEntry) -> str:
    """The text that a search looks at."""
    findings = (f"{one.check} {one.title} {one.summary}" for one in run.not_passed)
    parts = (run.id, run.soak, run.profile, *run.faults, run.word, run.stopped, *findings)
    return " ".join(parts).lower()


@dataclass(frozen=True)
class Row:
    """One row of the matrix: the runs of a soak under the same faults, oldest first."""

    soak: str
    fault: str
    runs: Sequence[RunEntry]
    count: int  # with those that are not shown


def matrix(runs: Iterable[RunEntry]) -> list[Row]:
    """The rows of the matrix, sorted; `runs` are newest first."""
    rows: dict[tuple[str, str], list[RunEntry]] = {}
    for run in runs:
        rows.setdefault((run.soak, run.fault), []).append(run)
    ordered = sorted(rows.items(), key=lambda pair: (pair[0][0], pair[0][1] != "none", pair[0][1]))
    return [
        Row(soak, fault, found[:_CELLS_MAX][::-1], len(found))
        for (soak, fault), found in ordered[:_ROWS_MAX]
    ]


def choices(runs: Iterable[RunEntry]) -> dict[str, list[str]]:
    """What the filters can be set to."""
    soaks: set[str] = set()
    faults: set[str] = set()
    words: set[str] = set()
    for run in runs:
        soaks.add(run.soak)
        faults.update(run.faults or ("none",))
        words.add(run.word)
    return {
        "soak": sorted(soaks),
        "fault": sorted(faults),
        "verdict": [word for word in WORDS if word in words],
    }


def page_number(text: str, count: int) -> tuple[int, int]:
    """(number of the page that is asked for, number of pages), both from 1."""
    pages = max(1, -(-count // PAGE_RUNS))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    return min(max(number, 1), pages), pages
