"""Defect: all decisions have the same id."""

import sys

from agents import decision_log, watcher_agent

real_append = decision_log.DecisionLog.append


def append(self, record):
    real_append(self, {**record, "decision_id": "d000001", "request_file": record["request_file"]})


decision_log.DecisionLog.append = append

sys.exit(watcher_agent.main())
