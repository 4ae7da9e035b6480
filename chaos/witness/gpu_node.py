"""Watch the device node of a GPU: could a new program still open it?

A reload of the host's container daemon can take the node away from a container. A program that has
the GPU open keeps it, so the driver library still answers here, while every program that starts
later finds no GPU. Knows nothing of the driver library.
"""

import os
import stat as modes

from chaos.witness.base import reason, stat


class Node:
    """A device node, compared with what it was at the start. Without a node then, never lost."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._device = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        """(file type, device number), or None if there is no node."""
        try:
            status = stat(self.path)
        except OSError:
            return None
        return modes.S_IFMT(status.st_mode), status.st_rdev

    def lost(self) -> str:
        """Why a new program can no longer open the node, or "" if it can."""
        if self._device is None:
            return ""
        device = self._identity()
        if device != self._device:
            change = "is gone" if device is None else "is another device now"
            return f"{self.path} {change}: new programs find no GPU"
        try:
            os.close(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError as error:
            return f"new programs cannot open the GPU any more: {reason(error)}"
        return ""
