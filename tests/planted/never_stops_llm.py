"""Defect: the LLM server is not stopped for the heavy work, and the log says that it was."""

import sys

from agents import llm_lifecycle, watcher_agent


def stop(self):
    return {"ok": True, "took_s": 0.1}


llm_lifecycle.Lifecycle.stop = stop

sys.exit(watcher_agent.main())
