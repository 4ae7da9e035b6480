"""Defect: after its third dispatch the Watcher waits for something that never comes."""

import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
done = 0


def run(self, command, staging, limit_s):
    global done
    done += 1
    while done > 3:
        self._stop.pause(1.0)
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
