"""Defect: the triggers ask for learning, and never for selfplay."""

import sys

from agents import draws, watcher_agent

real_triggers = draws.evaluate_triggers


def evaluate_triggers(*words):
    return [one for one in real_triggers(*words) if one["request_type"] != "selfplay"]


draws.evaluate_triggers = evaluate_triggers
sys.exit(watcher_agent.main())
