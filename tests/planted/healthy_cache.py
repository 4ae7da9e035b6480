"""Healthy: a cache in memory and on disk, with a bound that is reached soon."""

import os
import sys
from pathlib import Path

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
cache = {}
count = 0


def run(self, command, staging, limit_s):
    global count
    count += 1
    cache[count % 4] = os.urandom(1 << 20)
    folder = Path("/tmp/planted_cache")
    folder.mkdir(exist_ok=True)
    (folder / f"{count % 4}.bin").write_bytes(cache[count % 4])
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
