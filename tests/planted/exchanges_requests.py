"""Defect: every request is archived with the content of the first one."""

import sys

from agents import request_queue, watcher_agent

real_finish = request_queue.RequestQueue.finish
first = []


def finish(self, name):
    real_finish(self, name)
    path = self.archive / name
    if first:
        path.write_bytes(first[0])
    else:
        first.append(path.read_bytes())


request_queue.RequestQueue.finish = finish
sys.exit(watcher_agent.main())
