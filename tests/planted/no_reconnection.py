"""Defect: after the first failed call the client holds the LLM for lost, for ever."""

import sys

from agents import llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask
lost = []


def ask(self, question, prompt):
    if not lost:
        answer = real_ask(self, question, prompt)
        if answer.fallback:
            lost.append(question.name)
        return answer
    now = llm_client.utc_now()
    record = {
        "question": question.name,
        "answer": None,
        "started_at": now,
        "ended_at": now,
        "attempts": 0,
        "outcome": "failed",
        "error": "client disabled",
    }
    return llm_client.Answer(question.heuristic, True, record)


llm_client.LLMClient.ask = ask
sys.exit(watcher_agent.main())
