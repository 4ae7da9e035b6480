"""How good the rules for growth are, on recorded runs: false alarms, and planted leaks found.

Every run given is taken for clean: a `fail` of a rule is a false alarm. Then a leak is added to
each recorded signal: k times the smallest slope that the report of that very run promises to show
(per completed request for memory, per time for what is counted), and the rule judges again.

    python -m benchmarks.calibrate_growth DIR...     (run directories, or folders of them)
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from chaos.checks.counted_growth import judged_signal
from chaos.checks.run_view import RunView
from chaos.checks.signal_growth import Signal, growth_of, signal_of

from chaos.base.errors import ChaosError
from chaos.checks.file_descriptors import FileDescriptorsParams
from chaos.checks.memory_growth import MemoryGrowthParams
from chaos.checks.resource_growth import SIGNALS, ResourceGrowthParams
from chaos.record.rundir import RunDir

FACTORS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)
_MEMORY = "memory per request"
_MB = 1e6


@dataclass
class Tally:
    """Verdicts of one rule: as recorded, and with a leak of each factor."""

    clean: Counter[str] = field(default_factory=Counter)
    planted: dict[float, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    alarms: list[str] = field(default_factory=list)


def main(argv: list[str] | None = None) -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    made.add_argument("--json", action="store_true", help="one JSON line for machines")
    options = made.parse_args(argv)
    tallies: dict[str, Tally] = defaultdict(Tally)
    runs = sorted({path.resolve() for folder in options.folders for path in _runs(folder)})
    judged = 0
    for path in runs:
        try:
            view = RunView(RunDir(path))
        except ChaosError as error:
            print(f"left out: {path}: {error.message}")
            continue
        judged += 1
        _memory(view, tallies[_MEMORY], path.name)
        counted = {"watcher.fds": ("descriptors", FileDescriptorsParams().tolerance)}
        counted |= {key: (name, ResourceGrowthParams().tolerance) for key, name in SIGNALS.items()}
        for key, (name, tolerance) in counted.items():
            _counted(view, key, name, tolerance, tallies[name], path.name)
    _show(judged, tallies, as_json=options.json)


def _runs(folder: Path) -> Iterator[Path]:
    if (folder / "history.jsonl").is_file():
        yield folder
        return
    yield from (path.parent for path in folder.rglob("history.jsonl"))


def _memory(view: RunView, tally: Tally, name: str) -> None:
    signal = signal_of(view, "watcher.rss_anon_bytes", "watcher.swap_bytes")
    if signal is None:
        return
    limit = MemoryGrowthParams().limit_mb * _MB
    found = growth_of(view, signal, limit, per_work=True)
    _note(tally, found.verdict, name)
    if found.detectable is None:
        return
    for factor in FACTORS:
        leaking = replace(signal, values=signal.values + factor * found.detectable * signal.work)
        verdict = growth_of(view, leaking, limit, per_work=True).verdict
        tally.planted[factor][verdict] += 1


def _counted(
    view: RunView, key: str, label: str, tolerance: float, tally: Tally, name: str
) -> None:
    signal = signal_of(view, key)
    if signal is None:
        tally.clean["not sampled"] += 1
        return
    found = judged_signal(view, signal, label, tolerance)
    _note(tally, found.outcome, name)
    if found.detectable_per_s is None:
        return
    for factor in FACTORS:
        leaking = _leaking(signal, factor * found.detectable_per_s)
        tally.planted[factor][judged_signal(view, leaking, label, tolerance).outcome] += 1


def _leaking(signal: Signal, per_s: float) -> Signal:
    """Whole things only: nobody leaks a third of a descriptor."""
    leaked = np.floor(per_s * (signal.t_s - signal.t_s[0]))
    return replace(signal, values=signal.values + leaked)


def _note(tally: Tally, verdict: str, name: str) -> None:
    tally.clean[verdict] += 1
    if verdict == "fail":
        tally.alarms.append(name)


def _show(runs: int, tallies: dict[str, Tally], *, as_json: bool) -> None:
    if as_json:
        rows = {
            name: {
                "clean": dict(tally.clean),
                "planted": {str(k): dict(v) for k, v in tally.planted.items()},
            }
            for name, tally in tallies.items()
        }
        print(json.dumps({"benchmark": "calibrate_growth", "runs": runs, "rules": rows}))
        return
    print(f"calibrate_growth: {runs} recorded runs, taken for clean")
    found = "  ".join(f"{factor:g}x" for factor in FACTORS)
    print(f"  {'rule':24} {'false alarms':>13} {'inconclusive':>13}   leaks found at {found}")
    for name, tally in tallies.items():
        total = sum(tally.clean.values()) - tally.clean["not sampled"]
        if not total:
            print(f"  {name:24} never sampled")
            continue
        rates = "  ".join(_rate(tally.planted[factor]) for factor in FACTORS)
        alarms = f"{tally.clean['fail']} of {total}"
        print(f"  {name:24} {alarms:>13} {tally.clean['inconclusive']:>13}   {'':15}{rates}")
        for alarm in tally.alarms:
            print(f"    false alarm: {alarm}")


def _rate(verdicts: Counter[str]) -> str:
    total = sum(verdicts.values())
    return f"{100 * verdicts['fail'] / total:.0f}%" if total else "-"


if __name__ == "__main__":
    main()
