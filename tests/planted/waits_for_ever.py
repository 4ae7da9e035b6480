"""Defect: a call to the LLM has no time limit."""

import sys

from agents import llm_client, watcher_agent

real_call = llm_client.call


def call(stop, address, method, path, *, limit_s, body=None):
    return real_call(stop, address, method, path, limit_s=3600.0, body=body)


llm_client.call = call

sys.exit(watcher_agent.main())
