"""Defect: each dispatch leaves a thread that waits for ever."""

import sys
import threading

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
