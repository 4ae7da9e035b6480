"""Read all sources on an absolute schedule, and write the samples to the history.

A moment of the schedule that passes during a sample is skipped and counted, never made up for.
Knows no particular source.
"""

import threading
import time
from collections.abc import Callable, Sequence

from loguru import logger

from chaos.record.history import HistoryWriter, Sample
from chaos.witness.base import Source, Values
from chaos.witness.pause import Pause
from chaos.witness.reader import Reader


class Sampler:
    """Samples `sources` every `period_s` in a thread of its own.

    `on_tick` gets each sample after it was written. It runs in the sampler's thread and must be
    quick. A defect in a source ends the sampling: `failure` says why, and the history has a
    `problem` of the harness. A source with a longer period (`repeated_s` in the event `sampler`:
    seconds by source) repeats its last values in the samples in between.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        history: HistoryWriter,
        period_s: float,
        on_tick: Callable[[Values], None] | None = None,
    ) -> None:
        self._reader = Reader(sources)
        self._history = history
        self._period_s = period_s
        self._on_tick = on_tick
        self._stop = Pause()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.failure: str | None = None
        self._repeated_s = {
            name: period for name, period in self._reader.periods_s().items() if period > period_s
        }
        self._absent: dict[str, str] = {}
        self._recorded: set[tuple[str, str]] = set()  # (source, reason) of the events so far
        self._open: set[str] = set()  # sources whose `source_present` has not been recorded
        self.taken = 0
        self.overruns = 0  # moments of the schedule that passed during another sample

    def start(self) -> None:
        """Start the thread. It takes the first sample at once."""
        if self._thread is not None:
            raise RuntimeError("a sampler starts once")
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self, limit_s: float = 5.0) -> None:
        """Stop sampling, close the sources, and record the totals (event `sampler`)."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(limit_s)
        if self._thread is not None and self._thread.is_alive():
            self._fail(f"the sampler did not stop within {limit_s:g} s")
        else:
            self._reader.close()
            self._stop.close()
        self._history.event(
            "sampler",
            samples=self.taken,
            overruns=self.overruns,
            period_s=self._period_s,
            repeated_s=self._repeated_s,
        )

    def sample_once(self) -> Values:
        """Read all sources now. Records absences, but not the sample."""
        with self._lock:
            values = self._reader.read()
            self._record_absences(self._reader.absences())
        return values

    def absences(self) -> dict[str, str]:
        """Map each missing part of the last sample to the reason."""
        return dict(self._absent)

    def _record_absences(self, absent: dict[str, str]) -> None:
        """Record each absence once per reason, and the end of each recorded absence.

        Later absences with the same reason are not recorded: some sources come and go by design
        (the LLM server is stopped before other work). The samples show each of them by a missing
        key.
        """
        if absent is self._absent:
            return
        for name, why in absent.items():
            if self._absent.get(name) != why and (name, why) not in self._recorded:
                self._recorded.add((name, why))
                self._open.add(name)
                self._history.event("source_absent", source=name, reason=why)
        for name in self._open - absent.keys():
            self._open.discard(name)
            self._history.event("source_present", source=name)
        self._absent = absent

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # a defect of the harness: nothing above the thread catches it
            logger.exception("the sampler failed")
            self._fail(f"the sampler failed: {error!r}")

    def _fail(self, message: str) -> None:
        self.failure = message
        self._history.event("problem", severity="error", owner="harness", message=message)

    def _loop(self) -> None:
        start_s = time.monotonic()
        slot = 0
        while not self._stop.is_set():
            at_s = self._history.now_s()
            values = self.sample_once()
            self._history.write(Sample(t_s=at_s, values=values))
            self.taken += 1
            if self._on_tick is not None:
                self._on_tick(values)
            passed = int((time.monotonic() - start_s) / self._period_s)
            self.overruns += max(0, passed - slot)
            slot = max(slot, passed) + 1
            self._stop.wait(start_s + slot * self._period_s - time.monotonic())
