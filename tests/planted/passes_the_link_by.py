"""Defect: the Watcher asks the LLM server directly, and not where its target says."""

import sys

from agents import llm_client, watcher_agent

real_call = llm_client.call


def call(stop, address, method, path, **more):
    host, port = address
    return real_call(stop, (host, port + 1), method, path, **more)


llm_client.call = call
sys.exit(watcher_agent.main())
