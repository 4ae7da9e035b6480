"""Defect: an LLM outage becomes an ordinary decision, without a trace of the heuristic."""

import dataclasses
import sys

from agents import llm_client, watcher_agent

real_ask = llm_client.LLMClient.ask


def ask(self, question, prompt):
    answer = real_ask(self, question, prompt)
    if not answer.fallback:
        return answer
    record = {**answer.record, "outcome": "ok", "answer": {question.key: answer.value}}
    record.pop("error", None)
    return dataclasses.replace(answer, fallback=False, record=record)


llm_client.LLMClient.ask = ask
sys.exit(watcher_agent.main())
