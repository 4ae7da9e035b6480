"""Limits of the machine: memory, processor, descriptors, clock."""
