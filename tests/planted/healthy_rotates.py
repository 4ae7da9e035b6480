"""Healthy: its own second log is rotated by name."""

import sys
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    log = Path("logs/watcher_agent_more.log")
    with log.open("a") as stream:
        stream.write("worked\n" * 200)
    if log.stat().st_size > 3000:
        log.replace(log.with_suffix(".log.1"))
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
