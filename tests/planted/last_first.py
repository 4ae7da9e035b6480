"""Defect: the newest request is served first, so that an old one waits as long as others come."""

import sys

from agents import request_queue, watcher_agent

real_pending_names = request_queue.RequestQueue.pending_names


def pending_names(self):
    return list(reversed(real_pending_names(self)))


request_queue.RequestQueue.pending_names = pending_names
sys.exit(watcher_agent.main())
