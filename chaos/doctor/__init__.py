"""`chaos doctor`: check whether a workspace and this machine are ready for a soak.

Must not start a stack.
"""
