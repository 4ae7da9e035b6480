"""Defect: the first archiving of every request fails unseen, so that it is worked again."""

import sys

from agents import decision_log, request_queue, watcher_agent

real_finish = request_queue.RequestQueue.finish
seen = set()


def finish(self, name):
    if name in seen:
        real_finish(self, name)
        return
    seen.add(name)
    (self.claimed / name).rename(self.pending / name)


request_queue.RequestQueue.finish = finish
decision_log.DecisionLog.processed_as = lambda self, source, sequence: ""
sys.exit(watcher_agent.main())
