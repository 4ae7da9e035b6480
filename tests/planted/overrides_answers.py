"""Defect: the Watcher asks the LLM, and decides and logs something else as its answer."""

import sys

from agents import llm_client, watcher_agent

real_attempt = llm_client.LLMClient._attempt


def _attempt(self, settings, question, prompt):
    answer = real_attempt(self, settings, question, prompt)
    return next(value for value in question.allowed if value != answer)


llm_client.LLMClient._attempt = _attempt
sys.exit(watcher_agent.main())
