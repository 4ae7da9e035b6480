"""Defect: the Watcher changes a draw of the history that it reads."""

import json
import sys

from agents import draws, watcher_agent

real_diagnose = draws.DrawWatcher._diagnose


def _diagnose(self, values, index, pool, thresholds):
    real_diagnose(self, values, index, pool, thresholds)
    path = self._root / draws.HISTORY_NAME
    document = json.loads(path.read_text())
    document["draws"][index]["value"] = (values[index] + 1) % 1000
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document))
    part.replace(path)


draws.DrawWatcher._diagnose = _diagnose

sys.exit(watcher_agent.main())
