"""Healthy: it asks by signal 0 whether other processes live, and ends its own children."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            os.kill(int(folder.name), 0)
    helper = subprocess.Popen(["sleep", "60"])
    result = real_run(self, command, staging, limit_s)
    helper.terminate()
    helper.wait()
    return result


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
