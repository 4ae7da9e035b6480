"""Healthy: twenty threads from the start."""

import sys
import threading

from agents import watcher_agent

for _ in range(20):
    threading.Thread(target=threading.Event().wait, daemon=True).start()

sys.exit(watcher_agent.main())
