"""Defect: nothing keeps a second Watcher out of the workspace."""

import sys

from agents import lock, watcher_agent

real_describe = lock._describe


def acquire(self, purpose):
    self._handle = lock._open(self.path)
    real_describe(self._handle, purpose)


lock.InstanceLock.acquire = acquire
sys.exit(watcher_agent.main())
