"""Defect: each dispatch leaves a child that goes on running."""

import subprocess
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
kept = []


def run(self, command, staging, limit_s):
    kept.append(subprocess.Popen(["sleep", "3600"]))
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
