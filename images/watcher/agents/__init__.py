"""The reference Watcher's agent: daemon, queue, decisions, LLM client."""
