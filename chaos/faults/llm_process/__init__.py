"""The LLM server itself: killed, paused, slow to load, ignoring SIGTERM."""
