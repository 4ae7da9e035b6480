"""Faults: their kinds by group, one life cycle for all, and the ledger of undo records."""
