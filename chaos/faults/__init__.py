"""Faults: one file per kind, one life cycle for all, one ledger that can undo each."""
