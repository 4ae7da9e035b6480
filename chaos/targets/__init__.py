"""`chaos target`: help the author of a target: a skeleton, all errors at once, a short live run."""
