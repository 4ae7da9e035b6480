"""Defect: decisions are stamped an hour ahead."""

import sys
from datetime import UTC, datetime, timedelta

from agents import files, llm_client, watcher_agent


def utc_now():
    ahead = datetime.now(UTC) + timedelta(hours=1)
    return ahead.isoformat(timespec="microseconds")


files.utc_now = llm_client.utc_now = utc_now

sys.exit(watcher_agent.main())
