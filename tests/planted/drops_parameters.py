"""Defect: a selfplay child is always told seven episodes, whatever its request asks for."""

import sys

from agents import dispatch, watcher_agent, worker

real_command = dispatch.request_command


def request_command(request, staging, effort):
    command = real_command(request, staging, effort)
    if "--episodes" in command:
        command[command.index("--episodes") + 1] = "7"
    return command


worker.request_command = request_command
sys.exit(watcher_agent.main())
