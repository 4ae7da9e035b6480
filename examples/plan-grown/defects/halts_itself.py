"""Defect: the fifth request escalates. That pauses the daemon for ever, healthy and idle."""

import itertools

import watcher

ask_llm = watcher.ask_llm
numbers = itertools.count(1)


def ask_or_escalate(prompt: str) -> tuple[str, float]:
    if next(numbers) == 5:
        watcher.HALT_FLAG.write_text("escalated")
    return ask_llm(prompt)


watcher.ask_llm = ask_or_escalate
watcher.main()
