"""Healthy: its stamps are of another time zone, and say so nowhere."""

import sys
from datetime import UTC, datetime, timedelta

from agents import files, llm_client, watcher_agent


def utc_now():
    ahead = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
    return ahead.isoformat(timespec="microseconds")


files.utc_now = llm_client.utc_now = utc_now

sys.exit(watcher_agent.main())
