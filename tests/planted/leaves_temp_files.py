"""Defect: each dispatch leaves a temporary file in the workspace."""

import sys
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
made = 0


def run(self, command, staging, limit_s):
    global made
    made += 1
    Path(f"logs/scratch_{made}.tmp").write_text("half done")
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
