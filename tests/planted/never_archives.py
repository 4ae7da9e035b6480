"""Defect: finished requests stay among the claimed ones."""

import sys

from agents import request_queue, watcher_agent


def finish(self, name):
    return None


request_queue.RequestQueue.finish = finish

sys.exit(watcher_agent.main())
