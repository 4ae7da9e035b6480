"""Defect: an answer that breaks the grammar counts as the first allowed one."""

import sys

from agents import questions, watcher_agent

real_parse = questions.Question.parse


def parse(self, content):
    try:
        return real_parse(self, content)
    except questions.BadAnswer:
        return self.allowed[0]


questions.Question.parse = parse

sys.exit(watcher_agent.main())
