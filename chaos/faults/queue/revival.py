"""What queue kinds share under which the Watcher ends: they start it again."""

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence
from chaos.faults.queue.base import QueueFault
from chaos.record.recovery_paths import PROCESS_DIED, WATCHER_RESTART
from chaos.stack.base import Stack


class Revived(QueueFault):
    """Starts a Watcher that has ended. If it does not start, that is a problem of the Watcher."""

    triage_path = PROCESS_DIED
    reconnection_path = WATCHER_RESTART
    ends = frozenset({"watcher"})

    refused = ""  # why the last start failed

    def revive(self, stack: Stack) -> bool:
        """Start it unless it runs. True if it was started."""
        watcher = stack.service("watcher")
        if watcher.alive():
            return False
        try:
            watcher.start()
        except EnvironmentProblem as problem:
            self.refused = problem.message
            return False
        self.refused = ""
        return True

    def problems(self, stack: Stack) -> list[str]:
        return super().problems(stack) + ([self.refused] if self.refused else [])

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        pid = stack.service("watcher").pid
        return super().recovered(stack, deadline).plus(watcher=pid())
