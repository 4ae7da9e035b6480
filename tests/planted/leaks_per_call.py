"""Defect: each attempt that fails keeps a file descriptor; judged after a single fault."""

import os
import sys

from agents import http_call, llm_client, watcher_agent

real_call = llm_client.call


def call(stop, address, method, path, **more):
    try:
        return real_call(stop, address, method, path, **more)
    except http_call.CallFailed:
        if method == "POST":
            os.open(os.devnull, os.O_RDONLY)
        raise


llm_client.call = call
sys.exit(watcher_agent.main())
