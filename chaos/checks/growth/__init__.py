"""Does something grow? Shared by the checks for memory, descriptors, sockets and other counts."""
