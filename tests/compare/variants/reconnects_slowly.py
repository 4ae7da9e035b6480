"""Change: twelve seconds of pause after a failed attempt, so that a healed link is seen late."""

import sys

from agents import llm_client, watcher_agent

llm_client._backoff_s = lambda settings, attempt: 12.0
sys.exit(watcher_agent.main())
