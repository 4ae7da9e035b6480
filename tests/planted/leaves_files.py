"""Defect: each dispatch writes its prompt into a temporary file outside the workspace, for ever."""

import sys
import tempfile

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    with tempfile.NamedTemporaryFile("w", prefix="prompt", delete=False) as stream:
        stream.write(" ".join(command))
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run
sys.exit(watcher_agent.main())
