"""Defect: learning requests wait as long as there is any other."""

import sys

from agents import request_queue, watcher_agent

real_names = request_queue.RequestQueue.pending_names


def pending_names(self):
    def learning(name):
        try:
            return "learning" in (self.pending / name).read_text()
        except (OSError, ValueError):
            return False

    return sorted(real_names(self), key=learning)


request_queue.RequestQueue.pending_names = pending_names
sys.exit(watcher_agent.main())
