"""Defect: the limit of tokens is too low for any answer."""

import sys

from agents import llm_client, watcher_agent

real_call = llm_client.call


def call(stop, address, method, path, **more):
    if more.get("body"):
        more["body"]["n_predict"] = 2
    return real_call(stop, address, method, path, **more)


llm_client.call = call
sys.exit(watcher_agent.main())
