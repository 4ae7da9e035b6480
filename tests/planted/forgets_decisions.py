"""Defect: each third decision is not logged."""

import sys

from agents import decision_log, watcher_agent

real_append = decision_log.DecisionLog.append
count = 0


def append(self, record):
    global count
    count += 1
    if count % 3 == 0:
        self._remember(record)
        return
    real_append(self, record)


decision_log.DecisionLog.append = append

sys.exit(watcher_agent.main())
