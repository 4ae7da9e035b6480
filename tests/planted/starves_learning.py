"""Defect: learning requests wait as long as there is any other."""

import sys

from agents import request_queue, watcher_agent

real_names = request_queue.RequestQueue.pending_names


def pending_names(self):
    return sorted(real_names(self), key=lambda name: "learning" in name)


request_queue.RequestQueue.pending_names = pending_names

sys.exit(watcher_agent.main())
