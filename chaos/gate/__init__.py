"""The gate: soaks A, B, C, each clean and under faults, with one final verdict."""
