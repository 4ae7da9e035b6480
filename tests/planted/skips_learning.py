"""Defect: learning requests end at once with an error, and are archived."""

import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    if "pipeline.run" in command:
        return dispatch.ChildResult(0, 1, 0.0, timed_out=False, output_tail="not supported")
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
