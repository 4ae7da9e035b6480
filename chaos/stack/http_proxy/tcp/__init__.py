"""The TCP proxy of last resort: the part of Toxiproxy that the harness uses, where none can be had.

Same HTTP API, same toxics with the same meaning; it is told apart by its version, `builtin ...`.
"""
