"""Defect: the child is told another effort than the one that the LLM answered."""

import sys

from agents import dispatch, watcher_agent, worker
from agents.questions import EFFORTS

real_command = dispatch.request_command


def request_command(request, staging, effort):
    return real_command(request, staging, next(one for one in EFFORTS if one != effort))


worker.request_command = request_command
sys.exit(watcher_agent.main())
