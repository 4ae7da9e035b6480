"""Healthy: the first dispatches load sixty megabytes, once."""

import os
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
tables = []


def run(self, command, staging, limit_s):
    if len(tables) < 3:
        tables.append(bytearray(os.urandom(20 << 20)))
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
