"""Defect: the LLM client is switched off, and each decision is the heuristic's."""

import sys

from agents import llm_client, watcher_agent


def _attempt(self, settings, question, prompt):
    raise llm_client.BadAnswer("the client could not be imported")


llm_client.LLMClient._attempt = _attempt

sys.exit(watcher_agent.main())
