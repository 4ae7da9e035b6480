"""The wire proxy, which breaks HTTP answers by rule, and the built-in TCP proxy.

Both run as processes of their own (`python -m chaos.stack.http_proxy`,
`python -m chaos.stack.http_proxy.tcp`). They know nothing of runs, faults or stacks.
"""
