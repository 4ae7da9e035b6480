"""The LLM server itself: killed, paused, slow, deaf."""
