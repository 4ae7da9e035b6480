"""Defect: the LLM server is started again while the child still works."""

import sys

from agents import llm_lifecycle, watcher_agent

real_stop = llm_lifecycle.Lifecycle.stop


def stop(self):
    stopped = real_stop(self)
    self._control("POST", "/start", 10.0)
    return stopped


llm_lifecycle.Lifecycle.stop = stop

sys.exit(watcher_agent.main())
