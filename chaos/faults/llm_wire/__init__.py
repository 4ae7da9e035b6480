"""The LLM link broken at the HTTP level, by the wire proxy."""
