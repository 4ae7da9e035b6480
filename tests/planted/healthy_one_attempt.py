"""Healthy: no retries; a failed call is a marked fallback at once."""

import dataclasses
import sys

from agents import llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask


def ask(self, question, prompt):
    settings = self._settings
    self._settings = lambda: dataclasses.replace(settings(), max_attempts=1)
    try:
        return real_ask(self, question, prompt)
    finally:
        self._settings = settings


llm_client.LLMClient.ask = ask

sys.exit(watcher_agent.main())
