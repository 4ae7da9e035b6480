"""The wire: an HTTP proxy that breaks answers by rule, and a TCP proxy of last resort.

Both are processes of their own beside the LLM server (`python -m chaos.stack.http_proxy`,
`python -m chaos.stack.http_proxy.tcp`). They know nothing of runs, faults or stacks.
"""
