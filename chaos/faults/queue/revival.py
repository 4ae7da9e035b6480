"""The Watcher ends under a fault and is started again by it: shared by the kinds that do so."""

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.faults.base import Evidence
from chaos.faults.queue.base import QueueFault
from chaos.record.recovery_paths import PROCESS_DIED, WATCHER_RESTART
from chaos.stack.base import Stack


class Revived(QueueFault):
    """Starts a Watcher that has ended, as its users would. One that does not start is its own
    failure, not the harness's: it is told as what is amiss.
    """

    triage_path = PROCESS_DIED
    reconnection_path = WATCHER_RESTART
    ends = frozenset({"watcher"})

    refused = ""  # why the last start failed

    def revive(self, stack: Stack) -> bool:
        """Start it unless it runs; whether it had to be started, and could be."""
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

    def amiss(self, stack: Stack) -> list[str]:
        """As ever, and the Watcher could be started."""
        return super().amiss(stack) + ([self.refused] if self.refused else [])

    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """As ever, and who is the Watcher now."""
        evidence = super().recovered(stack, deadline)
        return evidence.plus(watcher=stack.service("watcher").pid())
