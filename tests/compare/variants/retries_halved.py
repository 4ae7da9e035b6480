"""Change: half as many attempts at each call to the LLM."""

import sys
from dataclasses import replace

from agents import llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask


def ask(self, question, prompt):
    read = self._settings
    before = read()
    self._settings = lambda: replace(before, max_attempts=max(1, before.max_attempts // 2))
    try:
        return real_ask(self, question, prompt)
    finally:
        self._settings = read


llm_client.LLMClient.ask = ask
sys.exit(watcher_agent.main())
