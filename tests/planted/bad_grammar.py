"""Defect: the grammar of a question does not parse, and the server refuses it."""

import sys

from agents import watcher_agent
from agents.questions import Question

Question.grammar = lambda self: f'root ::= "{self.key}" (((unfinished'
sys.exit(watcher_agent.main())
