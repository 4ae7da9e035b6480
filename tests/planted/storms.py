"""Defect: a call to the LLM that fails is made again at once, a hundred times."""

import sys

from agents import llm_client, watcher_agent
from agents.http_call import CallFailed

real_attempt = llm_client.LLMClient._attempt


def attempt(self, settings, question, prompt):
    for _ in range(99):
        try:
            return real_attempt(self, settings, question, prompt)
        except CallFailed:
            pass
    return real_attempt(self, settings, question, prompt)


llm_client.LLMClient._attempt = attempt
sys.exit(watcher_agent.main())
