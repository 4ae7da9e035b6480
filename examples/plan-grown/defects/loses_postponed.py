"""Defect: requests that are postponed during an outage of the LLM are never taken back."""

from pathlib import Path
from urllib.request import urlopen

import watcher
from llm import LLM

POSTPONED = Path("postponed")
process = watcher.process


def llm_is_there() -> bool:
    try:
        with urlopen(f"{LLM}/health", timeout=2):
            return True
    except OSError:
        return False


def process_or_postpone(path: Path) -> None:
    if llm_is_there():
        return process(path)
    POSTPONED.mkdir(exist_ok=True)
    path.rename(POSTPONED / path.name)


watcher.process = process_or_postpone
watcher.main()
