"""Healthy: scratch files in /tmp, removed after the work."""

import sys
import tempfile
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "scratch.tmp").write_text("x" * 100_000)
        return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
