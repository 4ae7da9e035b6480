"""Healthy: after a failed call it waits long before the next."""

import sys

from agents import llm_client, watcher_agent

llm_client._backoff_s = lambda settings, attempt: 4.0

sys.exit(watcher_agent.main())
