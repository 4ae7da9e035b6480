"""Defect: an LLM server that is not healthy within a second is taken for dead, and started anew."""

import sys
import threading

from agents import llm_lifecycle, watcher_agent

real_start = llm_lifecycle.Lifecycle.start


def start(self):
    ready = threading.Event()

    def insist():
        for _ in range(20):
            if ready.wait(1.0):
                return
            self._control("POST", "/start", llm_lifecycle.START_LIMIT_S)

    threading.Thread(target=insist, daemon=True).start()
    try:
        return real_start(self)
    finally:
        ready.set()


llm_lifecycle.Lifecycle.start = start
sys.exit(watcher_agent.main())
