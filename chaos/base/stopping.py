"""Why a run ends. The first reason wins; every wait of the run listens to it."""

import threading
from typing import Literal

Reason = Literal["complete", "interrupt", "guardrail", "usage", "error"]


class RunStopped(Exception):
    """Raised out of a wait when the run is to end before its time."""


class StopSignal:
    """One `threading.Event` with a reason; may be set from signal handlers and threads."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: Reason = "complete"
        self.message = ""

    def set(self, reason: Reason, message: str) -> None:
        """End the run for `reason`; later calls change nothing."""
        if not self.event.is_set():
            self.reason, self.message = reason, message
            self.event.set()

    def wait(self, seconds: float) -> None:
        """Wait `seconds`; raises `RunStopped` as soon as the run is to end."""
        if self.event.wait(max(0.0, seconds)):
            raise RunStopped(self.message)
