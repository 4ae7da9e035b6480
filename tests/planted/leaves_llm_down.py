"""Defect: the LLM server is stopped for the work and never started again."""

import sys

from agents import llm_lifecycle, watcher_agent


def start(self):
    return {"ok": True, "took_s": 0.1}


llm_lifecycle.Lifecycle.start = start
llm_lifecycle.Lifecycle.revive = lambda self: None

sys.exit(watcher_agent.main())
