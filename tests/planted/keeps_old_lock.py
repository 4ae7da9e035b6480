"""Defect: a lock file of an earlier life keeps the daemon out for ever."""

import sys
from pathlib import Path

from agents import lock, watcher_agent

real_acquire = lock.InstanceLock.acquire


def acquire(self, purpose):
    mine = Path("planted.lock")
    if purpose == "daemon" and mine.exists():
        raise lock.AlreadyRunning(f"{mine} is there")
    real_acquire(self, purpose)
    mine.touch()


lock.InstanceLock.acquire = acquire

sys.exit(watcher_agent.main())
