"""The GPU: memory taken by another process, device lost."""
