"""Defect: each dispatch writes two megabytes into the log."""

import sys

from agents import dispatch, watcher_agent
from loguru import logger

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    for number in range(20_000):
        logger.info(
            "state {} of the very same thing, once more and once more and once more", number
        )
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
