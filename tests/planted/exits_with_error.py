"""Defect: a halt ends the daemon with an error's exit code."""

import sys

from agents import watcher_agent

sys.exit(watcher_agent.main() or 3)
