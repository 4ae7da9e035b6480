"""Defect: a learning dispatch runs its steps in another order than it must."""

import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    command = ["6,5,3" if word == "3,5,6" else word for word in command]
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
