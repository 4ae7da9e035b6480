"""OpenMetrics over all runs of a folder, and over those that go on, for a Prometheus of the user's.

A verdict is that of the newest judged run of a soak and its faults. Must not know who asks.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from chaos.base.errors import ChaosError
from chaos.record.run_list import WORDS, Listing, RunEntry
from chaos.report.openmetrics import Sample, family
from chaos.serve.live import LiveRun

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_STEPS_MAX = 64  # of the history of a run that goes on, read for one answer


class LiveRuns:
    """The runs that go on, each followed from one answer to the next. Not for several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._runs: dict[str, LiveRun] = {}

    def follow(self, running: Iterable[RunEntry]) -> dict[str, LiveRun]:
        """The state of each of these; a run without a readable plan is left out."""
        names = [entry.id for entry in running]
        for gone in [name for name in self._runs if name not in names]:
            self._runs.pop(gone).close()
        for name in names:
            try:
                run = self._runs.get(name) or LiveRun(self._root, name)
                self._runs[name] = run
                for _ in range(_STEPS_MAX):
                    if not run.advance():
                        break
                run.update()  # the points are for a page, and would pile up
            except ChaosError:
                continue  # its page says what is wrong
        return dict(self._runs)


def metrics_text(listing: Listing, live: Mapping[str, LiveRun], *, streams: int) -> str:
    """The whole exposition; ends in `# EOF`."""
    return "".join([*_of_all(listing), *_of_newest(listing), *_of_live(live, streams), "# EOF\n"])


def _of_all(listing: Listing) -> list[str]:
    words = dict.fromkeys(WORDS, 0)
    for run in listing.runs:
        words[run.word] = words.get(run.word, 0) + 1
    return [
        family(
            "chaos_runs",
            "Runs of the folder, by verdict or by what there is instead of one.",
            [({"verdict": word}, count) for word, count in words.items()],
        ),
        family(
            "chaos_gate_verdict",
            "One sample per gate; always 1.",
            [
                ({"gate": gate.id, "profile": gate.profile, "verdict": gate.verdict}, 1)
                for gate in listing.gates
                if gate.verdict
            ],
        ),
    ]


def _of_newest(listing: Listing) -> list[str]:
    newest: dict[tuple[str, str], RunEntry] = {}
    for run in listing.runs:  # newest first
        if run.state == "judged":
            newest.setdefault((run.soak, run.fault), run)
    verdicts: list[Sample] = []
    findings: list[Sample] = []
    ages: list[Sample] = []
    lengths: list[Sample] = []
    now_s = time.time()
    for (soak, fault), run in newest.items():
        labels = {"soak": soak, "fault": fault}
        verdicts.append((labels | {"verdict": run.verdict, "run": run.id}, 1))
        findings += [
            (labels | {"outcome": outcome}, count) for outcome, count in run.outcomes.items()
        ]
        ages.append((labels, round(now_s - run.began_epoch_s)))
        lengths.append((labels, run.lasted_s))
    return [
        family("chaos_latest_verdict", "Of the newest judged run; always 1.", verdicts),
        family("chaos_latest_findings", "Findings of that run by outcome.", findings),
        family("chaos_latest_age_seconds", "How long ago that run began.", ages),
        family("chaos_latest_duration_seconds", "How long that run lasted.", lengths),
    ]


def _of_live(live: Mapping[str, LiveRun], streams: int) -> list[str]:
    phases: list[Sample] = []
    times: list[Sample] = []
    signals: list[Sample] = []
    faults: list[Sample] = []
    for name, run in live.items():
        labels = {"run": name}
        phases.append((labels | {"phase": run.phase}, 1))
        times.append((labels, round(run.now_s, 1)))
        signals += [
            (labels | {"signal": signal}, float(value))
            for signal, value in run.values.items()
            if isinstance(value, (int, float))
        ]
        faults += [
            ({**labels, "fault": fault, "fault_id": fault_id}, 1)
            for fault_id, fault in run.in_force
        ]
    return [
        family("chaos_run_phase", "The phase of a run that goes on; always 1.", phases),
        family("chaos_run_elapsed_seconds", "The run time of a run that goes on.", times),
        family(
            "chaos_run_signal", "The newest value of each signal (chaos sql --tables).", signals
        ),
        family("chaos_fault_in_force", "1 while a fault is in force.", faults),
        family("chaos_serve_streams", "Live views that are open.", [({}, streams)]),
    ]
