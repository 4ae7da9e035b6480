"""Defect: each fifth line of the decision log is cut in its middle."""

import json
import sys

from agents import decision_log, watcher_agent

real_append = decision_log.DecisionLog.append
count = 0


def append(self, record):
    global count
    count += 1
    if count % 5:
        real_append(self, record)
        return
    self._remember(record)
    with self.path.open("ab") as stream:
        stream.write(json.dumps(record).encode()[:40] + b"\n")


decision_log.DecisionLog.append = append

sys.exit(watcher_agent.main())
