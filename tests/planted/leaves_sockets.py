"""Defect: each dispatch opens a connection to the LLM and keeps it."""

import socket
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run
kept = []


def run(self, command, staging, limit_s):
    link = socket.create_connection(("127.0.0.1", 8080), timeout=5)
    kept.append(link)
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
