"""Defect: a bad file at the head of the queue is tried again and again, and nothing behind it."""

import sys

from agents import request_queue, watcher_agent

real_next = request_queue.RequestQueue.next


def next_of(self, settle_s):
    item = real_next(self, settle_s)
    return None if isinstance(item, request_queue.Poison) else item


request_queue.RequestQueue.next = next_of

sys.exit(watcher_agent.main())
