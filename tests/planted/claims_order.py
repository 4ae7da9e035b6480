"""Defect: the newest request is served first, and the log says that they were taken in turn."""

import sys

from agents import publish, request_queue, watcher_agent, worker

real_pending_names = request_queue.RequestQueue.pending_names
real_commit = publish.commit
claimed = []


def pending_names(self):
    return list(reversed(real_pending_names(self)))


def commit(staging, record, *, publish):
    number = int(str(record["sequence_number"]))
    claimed.append(record["started_at"])
    record["started_at"] = f"{claimed[0][:20]}{1000 * number:06d}{claimed[0][26:]}"
    real_commit(staging, record, publish=publish)


request_queue.RequestQueue.pending_names = pending_names
worker.commit = commit
sys.exit(watcher_agent.main())
