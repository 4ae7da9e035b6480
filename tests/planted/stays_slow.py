"""Defect: once an LLM call has failed, it waits before every later one, for ever."""

import sys
import time

from agents import llm_client, watcher_agent

real_attempt = llm_client.LLMClient._attempt
failed = False


def _attempt(self, settings, question, prompt):
    global failed
    if failed:
        time.sleep(3.5)
    try:
        answer = real_attempt(self, settings, question, prompt)
    except Exception:  # whatever it was: it is remembered, and passed on
        failed = True
        raise
    return answer


llm_client.LLMClient._attempt = _attempt
sys.exit(watcher_agent.main())
