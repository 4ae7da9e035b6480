"""Defect: from the fourth decision on the log is written anew, and holds the last three."""

import sys

from agents import decision_log, watcher_agent

KEPT = 3


def append(self, record):
    if self.has(record):
        return
    real_append(self, record)
    lines = self.path.read_bytes().splitlines(keepends=True)
    if len(lines) > KEPT:
        self.path.write_bytes(b"".join(lines[-KEPT:]))


real_append = decision_log.DecisionLog.append
decision_log.DecisionLog.append = append
sys.exit(watcher_agent.main())
