"""Defect: every request leaves 2 MB behind, as a decision history kept in memory would."""

import os
import sys

from agents import watcher_agent, worker

real_handle = worker.Worker.handle
kept = []


def handle(self, item):
    kept.append(os.urandom(2_000_000))
    return real_handle(self, item)


worker.Worker.handle = handle
sys.exit(watcher_agent.main())
