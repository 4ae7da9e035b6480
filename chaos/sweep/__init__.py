"""Every moment at which a daemon can be lost: each persistence point, crashed and failed."""
