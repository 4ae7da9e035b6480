"""The sampler: reads all sources on an absolute schedule and writes samples to the history.

A sample that is late is skipped, never queued, and counted. Knows no particular source.
"""

from __future__ import annotations

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

    `on_tick` gets each sample after it was written; it runs in the sampler's thread and must
    be quick. A defect in a source ends the sampling; it is in `failure` and in the history, as
    a problem of the harness. Sources that are read less often (`repeated_s` in the event
    `sampler`: seconds by source) have their last values in the samples in between.
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
        self._stated: set[tuple[str, str]] = set()  # absences on record
        self._awaited: set[str] = set()  # those whose end is not on record yet
        self.taken = 0
        self.overruns = 0  # moments of the schedule that passed while a sample was read

    def start(self) -> None:
        """Start sampling, the first sample at once."""
        if self._thread is not None:
            raise RuntimeError("a sampler starts once")
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self, limit_s: float = 5.0) -> None:
        """Stop sampling, close the sources, and record the totals."""
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
        """Read all sources now; writes nothing but absences."""
        with self._lock:
            values = self._reader.read()
            self._state_absences(self._reader.absences())
        return values

    def absences(self) -> dict[str, str]:
        """What could not be read in the last sample, and why."""
        return dict(self._absent)

    def _state_absences(self, absent: dict[str, str]) -> None:
        """Record what became absent, once for each reason, and the end of what was recorded.

        Some sources come and go all the time by design (the LLM server is stopped before other
        work); that a key is missing from a sample tells of each time.
        """
        if absent is self._absent:
            return
        for name, why in absent.items():
            if self._absent.get(name) != why and (name, why) not in self._stated:
                self._stated.add((name, why))
                self._awaited.add(name)
                self._history.event("source_absent", source=name, reason=why)
        for name in self._awaited - absent.keys():
            self._awaited.discard(name)
            self._history.event("source_present", source=name)
        self._absent = absent

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:  # a defect of the harness: a thread has nobody to raise it to
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
