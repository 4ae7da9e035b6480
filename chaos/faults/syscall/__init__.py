"""System calls of the Watcher that fail, come late, or are its last."""
