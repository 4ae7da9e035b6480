"""Defect: an exception in each dispatch is caught and logged with its traceback."""

import sys

from agents import dispatch, watcher_agent
from loguru import logger

real_run = dispatch.Dispatcher.run


def run(self, command, staging, limit_s):
    try:
        {}["result"]
    except KeyError:
        logger.exception("the result is missing")
    return real_run(self, command, staging, limit_s)


dispatch.Dispatcher.run = run

sys.exit(watcher_agent.main())
