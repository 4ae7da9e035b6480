"""Defect: the Watcher asks the LLM nothing and logs answers that it made up."""

import sys

from agents import llm_client, watcher_agent


def _attempt(self, settings, question, prompt):
    return question.allowed[-1]


llm_client.LLMClient._attempt = _attempt
sys.exit(watcher_agent.main())
