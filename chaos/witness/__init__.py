"""Observe a run: sample the signals, record artefact versions, enforce the host's guardrails.

Knows the target profile and plain endpoints. Must not know soaks, faults or the runner.
"""
