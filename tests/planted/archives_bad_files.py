"""Defect: bad files are archived as if they had been worked."""

import sys

from agents import files, request_queue, watcher_agent


def put_in_quarantine(self, folder, name, reason):
    files.move_durably(folder / name, self.archive / name)
    self._seen.pop(name, None)
    return None


request_queue.RequestQueue.put_in_quarantine = put_in_quarantine

sys.exit(watcher_agent.main())
