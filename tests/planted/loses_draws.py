"""Defect: each third draw is passed over."""

import sys

from agents import draws, watcher_agent

real_diagnose = draws.DrawWatcher._diagnose


def _diagnose(self, values, index, pool, thresholds):
    if index % 3:
        real_diagnose(self, values, index, pool, thresholds)


draws.DrawWatcher._diagnose = _diagnose

sys.exit(watcher_agent.main())
