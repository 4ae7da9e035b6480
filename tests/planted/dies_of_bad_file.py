"""Defect: a bad file in the queue ends the daemon."""

import sys

from agents import request_queue, watcher_agent

real_quarantine = request_queue.RequestQueue.put_in_quarantine


def put_in_quarantine(self, folder, name, reason):
    raise SystemExit(f"cannot read {name}: {reason}")


request_queue.RequestQueue.put_in_quarantine = put_in_quarantine

sys.exit(watcher_agent.main())
