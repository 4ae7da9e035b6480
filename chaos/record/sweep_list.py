"""The sweeps of a list: the fields of `sweep.json` that a list shows, and the word for its end.

Reads only. Must not know how a sweep is made.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from chaos.record.list_fields import began_s, fields_of, kept

SWEEPS = "sweep"  # the folder of the sweeps: below that of the runs, and in a gate's
SWEEP_FILE = "sweep.json"

Word = Literal["SURVIVED", "NOT CRASH-SAFE", "NOT PROVEN", "NOT FINISHED"]


def sweep_word(state: str, outcomes: Iterable[str]) -> Word:
    """SURVIVED only if every break that was asked for struck and was survived."""
    found = set(outcomes)
    if "failed" in found:
        return "NOT CRASH-SAFE"
    if state != "complete" or not found:
        return "NOT FINISHED"
    return "SURVIVED" if found == {"survived"} else "NOT PROVEN"


class SweepEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep. `id` is its path below the folder; `gate` the id of its gate, "" without one.

    `outcomes`: outcome -> number of breaks, e.g. {"survived": 11, "failed": 1}.
    """

    id: str
    gate: str = ""
    began_epoch_s: float = 0.0
    word: str = ""  # "" if it is damaged
    state: str = ""
    reason: str = ""
    target: str = ""
    kinds: tuple[str, ...] = ()
    seed: int | None = None
    points: int = 0
    outcomes: dict[str, int] = {}
    problem: str = ""


class _Asked(msgspec.Struct):
    target: str | None = None
    kinds: tuple[str, ...] = ()
    seed: int | None = None


class _Point(msgspec.Struct):
    pass


class _Result(msgspec.Struct):
    outcome: Literal["survived", "failed", "not reached", "unverified", "invalid"]


class _Sweep(msgspec.Struct):
    asked: _Asked
    state: str
    reason: str = ""
    points: list[_Point] = []
    results: list[_Result] = []


def sweep_entry(root: Path, sweep_id: str) -> SweepEntry:
    """The entry of the sweep in that folder below `root`."""
    sweep, problem = fields_of(root, f"{sweep_id}/{SWEEP_FILE}", _Sweep)
    began = began_s(root, sweep_id)
    gate = sweep_id.rsplit("/", 2)[0] if sweep_id.count("/") == 3 else ""
    if sweep is None:
        return SweepEntry(id=sweep_id, gate=gate, began_epoch_s=began, problem=problem)
    outcomes: Counter[str] = Counter(result.outcome for result in sweep.results)
    return SweepEntry(
        id=sweep_id,
        gate=gate,
        began_epoch_s=began,
        word=sweep_word(sweep.state, outcomes),
        state=kept(sweep.state),
        reason=kept(sweep.reason),
        target=kept(sweep.asked.target or "reference"),
        kinds=tuple(kept(kind) for kind in sweep.asked.kinds[:8]),
        seed=sweep.asked.seed,
        points=len(sweep.points),
        outcomes=dict(outcomes),
    )
