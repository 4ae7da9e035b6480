"""Defect: an error of the disk ends the daemon."""

import sys

from agents import daemon, watcher_agent, worker

real_tick = daemon.Watcher._tick


def _tick(self):
    try:
        return real_tick(self)
    except OSError as error:
        raise SystemExit(f"fatal: {error}") from error


def patiently(stop, what, act):
    return act()


daemon.Watcher._tick = _tick
worker.patiently = patiently
sys.exit(watcher_agent.main())
