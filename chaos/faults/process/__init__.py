"""Watcher and injector killed, paused, restarted, doubled."""
