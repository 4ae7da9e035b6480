"""`chaos doctor`: is this workspace, and this machine, ready for a soak? It starts no stack."""
