"""Observing a run: signals of every source, versions of artefacts, guardrails of the host.

Knows the target profile and plain endpoints; must not know soaks, faults or what drives a run.
"""
