"""The LLM link broken at the TCP level, by the proxy."""
