"""The docker backend: the same stack, its programs in containers of one pod."""
