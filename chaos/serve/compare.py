"""Two runs beside each other: their findings, differences first, and their curves.

The curves come from another process (`chaos.serve.overlay`), and are kept until a run changes.
"""

import json
import os
import subprocess
import sys
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.below import open_below, read_below
from chaos.base.errors import ChaosError
from chaos.base.files import file_version
from chaos.base.shipped import python_path
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.record.history import UNREADABLE
from chaos.record.list_fields import FILE_BYTES_MAX
from chaos.report.course import LATENCY, PANELS
from chaos.serve.live import panels

_LIMIT_S = 120.0
_KEPT = 8
# What the other process reads of a run; none of it may be a link.
_FILES = ("config.json", "schedule.json", "history.jsonl", "verdict.json")
_RANK = {"fail": 0, "invalid": 1, "unverified": 2, "inconclusive": 2, "pass": 3, "skipped": 4}
_CHANGING = ("history.jsonl", "verdict.json")


@dataclass(frozen=True)
class Pair:
    """One criterion in both runs; None in a run that did not judge it."""

    title: str
    a: Finding | None
    b: Finding | None

    @property
    def differs(self) -> bool:
        """True if the outcomes differ."""
        return (self.a and self.a.outcome) != (self.b and self.b.outcome)

    @property
    def worst(self) -> int:
        """The rank of the worse outcome; 0 is a failure."""
        return min(_RANK[f.outcome] for f in (self.a, self.b) if f is not None)


def verdict_of(root: Path, run_id: str) -> Verdict:
    """The stored verdict. Raises `ChaosError` if there is none that can be read."""
    place = str(root / run_id / "verdict.json")
    try:
        content = read_below(root, f"{run_id}/verdict.json", FILE_BYTES_MAX)
        return msgspec.json.decode(content, type=Verdict)
    except OSError as error:
        raise ChaosError(
            f"no verdict: {error.strerror}",
            place=place,
            next_step=f"judge the run first: chaos check {run_id}",
        ) from error
    except UNREADABLE as error:
        raise ChaosError(
            f"not a verdict of this version: {error}",
            place=place,
            next_step=f"judge the run again: chaos check {run_id}",
        ) from error


def pairs(a: Verdict, b: Verdict) -> list[Pair]:
    """The criteria of both: those that differ first, then those that did not pass."""
    of_a, of_b = _by_criterion(a), _by_criterion(b)
    found = []
    for key in dict.fromkeys([*of_a, *of_b]):
        one, other = of_a.get(key), of_b.get(key)
        some = one or other
        if some is not None:
            found.append(Pair(some.title or some.check, one, other))
    return sorted(found, key=lambda pair: (not pair.differs, pair.worst))


def _by_criterion(verdict: Verdict) -> dict[tuple[str, str, int], Finding]:
    """(check, title, number) -> finding: a criterion may have one finding per fault."""
    counts: Counter[tuple[str, str]] = Counter()
    found = {}
    for finding in verdict.findings:
        key = (finding.check, finding.title)
        counts[key] += 1
        found[*key, counts[key]] = finding
    return found


class Overlays:
    """Makes the curves of two runs, one pair at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, dict[str, Any]] = OrderedDict()

    def of(self, a: str, b: str) -> dict[str, Any]:
        """The data of the plots. Raises `ChaosError` if a run cannot be opened."""
        for run_id in (a, b):
            self._refuse_links(run_id)
        changing = [file_version(self._root / run / name) for run in (a, b) for name in _CHANGING]
        key = (a, b, *changing)
        with self._lock:
            if key not in self._kept:
                content = _drawn([self._root / a, self._root / b])
                self._kept[key] = {**content, "panels": panels(*PANELS, LATENCY)}
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]

    def _refuse_links(self, run_id: str) -> None:
        for name in _FILES:
            try:
                open_below(self._root, f"{run_id}/{name}").close()
            except OSError as error:
                raise ChaosError(
                    f"cannot be read: {error.strerror}", place=str(self._root / run_id / name)
                ) from error


def _drawn(runs: list[Path]) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "chaos.serve.overlay", *map(str, runs)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": python_path(os.environ.get("PYTHONPATH", ""))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
        content = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise ChaosError(f"the two runs were not read after {_LIMIT_S:.0f} s") from error
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ChaosError(f"the two runs could not be read: {''.join(last)}") from error
    if "problem" in content:
        raise ChaosError(str(content["problem"]))
    drawn: dict[str, Any] = content
    return drawn
