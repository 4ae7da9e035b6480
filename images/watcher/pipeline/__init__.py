"""The Watcher's pipeline: from draws to predictions, in NumPy. Runs in child processes only."""
