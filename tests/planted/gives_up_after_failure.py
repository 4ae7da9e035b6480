"""Defect: after the first failed call the daemon lives on, and works no more."""

import sys

from agents import daemon, llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask
real_process = daemon.Watcher.process_one
escalated = False


def ask(self, question, prompt):
    global escalated
    answer = real_ask(self, question, prompt)
    escalated = escalated or answer.fallback
    return answer


def process_one(self):
    return False if escalated else real_process(self)


llm_client.LLMClient.ask = ask
daemon.Watcher.process_one = process_one

sys.exit(watcher_agent.main())
