"""Defect: each decision is logged twice."""

import json
import sys

from agents import decision_log, watcher_agent

real_append = decision_log.DecisionLog.append


def append(self, record):
    real_append(self, record)
    with self.path.open("ab") as stream:
        stream.write(json.dumps(record).encode() + b"\n")


decision_log.DecisionLog.append = append

sys.exit(watcher_agent.main())
