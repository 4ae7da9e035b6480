"""The private place a run lives in: namespaces that the kernel removes with everything in them."""
