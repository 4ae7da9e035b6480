"""Healthy: each dispatch starts helpers, and waits for them."""

import subprocess
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    helpers = [subprocess.Popen(["sleep", "0.3"]) for _ in range(3)]
    result = real_run(self, command, staging, limit_s)
    for helper in helpers:
        helper.wait()
    return result


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
