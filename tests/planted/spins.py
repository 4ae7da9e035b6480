"""Defect: the idle loop does not pause, and keeps a processor busy."""

import sys

from agents import daemon, watcher_agent

real_tick = daemon.Watcher._tick


def _tick(self):
    real_tick(self)
    return True


daemon.Watcher._tick = _tick

sys.exit(watcher_agent.main())
