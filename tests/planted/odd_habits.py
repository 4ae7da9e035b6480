"""No defect: healthy ways of working that are not those of the reference Watcher.

Requests are copied into the archive, with notes, and then removed from the queue. The decision log
is replaced as a whole. Each dispatch has a scratch file outside the workspace, of which the last
two stay. Each process leaves one file with its number.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from agents import decision_log, dispatch, files, request_queue, watcher_agent

real_run = dispatch.Dispatcher.run
scratch = []
Path(tempfile.gettempdir(), f"watcher-{os.getpid()}.pid").write_text("here")


def run(self, command, staging, limit_s):
    handle, path = tempfile.mkstemp()
    os.close(handle)
    scratch.append(path)
    if len(scratch) > 2:
        Path(scratch.pop(0)).unlink()
    return real_run(self, command, staging, limit_s)


def finish(self, name):
    if not os.path.lexists(self.claimed / name):
        return
    request = json.loads((self.claimed / name).read_bytes())
    files.write_json(self.archive / name, {**request, "notes": {"finished": files.utc_now()}})
    (self.claimed / name).unlink()


def write(self, line):
    files.write_atomic(self.path, self.path.read_bytes() + line)
    return True


dispatch.Dispatcher.run = run
request_queue.RequestQueue.finish = finish
decision_log.DecisionLog._write = write
sys.exit(watcher_agent.main())
