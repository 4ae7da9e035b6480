"""Defect: each dispatch starts a process and never waits for it."""

import os
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
