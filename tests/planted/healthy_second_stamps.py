"""Healthy: its time stamps are whole seconds."""

import sys
from datetime import UTC, datetime

from agents import files, llm_client, watcher_agent


def utc_now():
    return datetime.now(UTC).isoformat(timespec="seconds")


files.utc_now = llm_client.utc_now = utc_now

sys.exit(watcher_agent.main())
