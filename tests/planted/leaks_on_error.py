"""Defect: each LLM call that fails keeps a file descriptor."""

import os
import sys

from agents import llm_client, watcher_agent

real_attempt = llm_client.LLMClient._attempt


def _attempt(self, settings, question, prompt):
    kept = os.open(os.devnull, os.O_RDONLY)
    answer = real_attempt(self, settings, question, prompt)
    os.close(kept)
    return answer


llm_client.LLMClient._attempt = _attempt
sys.exit(watcher_agent.main())
