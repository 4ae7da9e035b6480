"""Defect: each call to the LLM that fails leaves a descriptor open."""

import os

import watcher

ask_llm = watcher.ask_llm


def ask_and_leak(prompt: str) -> tuple[str, float]:
    action, confidence = ask_llm(prompt)
    if confidence == 0.50:
        os.open("/dev/null", os.O_RDONLY)
    return action, confidence


watcher.ask_llm = ask_and_leak
watcher.main()
