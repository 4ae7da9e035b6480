"""Defect: each third request is deleted in place of being archived."""

import sys

from agents import request_queue, watcher_agent

real_finish = request_queue.RequestQueue.finish
finished = 0


def finish(self, name):
    global finished
    finished += 1
    if finished % 3 == 0:
        (self.claimed / name).unlink(missing_ok=True)
        return
    real_finish(self, name)


request_queue.RequestQueue.finish = finish

sys.exit(watcher_agent.main())
