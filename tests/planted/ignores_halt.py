"""Defect: the daemon hears neither its halt flag nor a signal."""

import signal
import sys

from agents import stop, watcher_agent


def install(self):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


stop.Stop.install = install
stop.Stop.reason = lambda self: ""
sys.exit(watcher_agent.main())
