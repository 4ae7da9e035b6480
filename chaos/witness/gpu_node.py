"""The device node of a GPU: whether a new program could still open it.

Who has a GPU open keeps it when the node is taken away (a reload of the host's daemon withdraws
it from a container): the driver's library goes on answering here, while every program that starts
from then on finds no GPU. Knows nothing of the driver's library.
"""

from __future__ import annotations

import os
import stat as modes

from chaos.witness.base import reason, stat


class Node:
    """One node, compared with what it was at the beginning. One that never was is not missed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._device = self._look()

    def _look(self) -> tuple[int, int] | None:
        """(type, device number); None: there is nothing."""
        try:
            status = stat(self.path)
        except OSError:
            return None
        return modes.S_IFMT(status.st_mode), status.st_rdev

    def lost(self) -> str:
        """Why a new program could not open it any more; "" while one could."""
        if self._device is None:
            return ""
        found = self._look()
        if found != self._device:
            what = "is gone" if found is None else "is another device now"
            return f"{self.path} {what}: new programs find no GPU"
        try:
            os.close(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError as error:
            return f"new programs cannot open the GPU any more: {reason(error)}"
        return ""
