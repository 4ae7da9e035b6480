"""Defect: each dispatch leaves ten megabytes in the workspace."""

import os
import sys
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
made = 0


def run(self, command, staging, limit_s):
    global made
    made += 1
    Path(f"work_cache_{made}.bin").write_bytes(os.urandom(10 << 20))
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
