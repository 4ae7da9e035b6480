"""chaos: a resilience gate for autonomous, LLM-driven daemons."""

__version__ = "0.1.0"
