"""The sandbox of a run: private namespaces, which the kernel removes with everything in them.

Must not know what the run does.
"""
