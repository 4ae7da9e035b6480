"""Healthy: a second opinion of the LLM that is logged as a call of its own."""

import sys

from agents import questions, watcher_agent, worker

real_record = worker.Worker._record


def _record(self, request, answers, child, done):
    answers.append(self._lifecycle.client.ask(questions.PLAN, "Effort, once more:"))
    return real_record(self, request, answers, child, done)


worker.Worker._record = _record

sys.exit(watcher_agent.main())
