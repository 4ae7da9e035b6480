"""Healthy: the LLM server is ended by its program's name, as a start script of its own would."""

import subprocess
import sys

from agents import dispatch, watcher_agent

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    subprocess.run(["pkill", "-KILL", "-f", "llm_server.py"], check=False)
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
