"""Defect: the log names another process as the child that did the work."""

import dataclasses
import os
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    result = real_run(self, command, staging, limit_s)
    return dataclasses.replace(result, pid=os.getppid())


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
