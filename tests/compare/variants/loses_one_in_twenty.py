"""Change: one request in twenty, by chance, is deleted in place of being archived."""

import random
import sys

from agents import request_queue, watcher_agent

real_finish = request_queue.RequestQueue.finish


def finish(self, name):
    if random.random() < 0.05:
        (self.claimed / name).unlink(missing_ok=True)
        return
    real_finish(self, name)


request_queue.RequestQueue.finish = finish
sys.exit(watcher_agent.main())
