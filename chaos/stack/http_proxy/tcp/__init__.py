"""The built-in TCP proxy: the part of Toxiproxy that the harness uses, if there is no Toxiproxy.

It has the same HTTP API and the same toxics. Its version is `builtin ...`.
"""
