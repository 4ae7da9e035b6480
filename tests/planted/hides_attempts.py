"""Defect: the log says that each answer came at the first attempt."""

import sys

from agents import llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask


def ask(self, question, prompt):
    answer = real_ask(self, question, prompt)
    answer.record["attempts"] = 1
    return answer


llm_client.LLMClient.ask = ask
sys.exit(watcher_agent.main())
