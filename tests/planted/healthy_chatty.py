"""Healthy: each dispatch writes some hundred lines into the log."""

import sys

from agents import dispatch, watcher_agent
from loguru import logger

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    for number in range(300):
        logger.info("step {} of the work", number)
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
