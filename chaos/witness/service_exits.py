"""Record the services of the target that end by themselves. Judges nothing; the run goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.base.files import file_tail
from chaos.record.history import HistoryWriter
from chaos.stack.base import Service
from chaos.stack.outages import Outages

_OUTPUT_BYTES = 2000
_OUTPUT_LINES = 5


class ServiceExits:
    """Looks at `services`. Each end that no fault may have caused is an event `service_exit`.

    `on_exit` gets the service's name after that.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        outages: Outages,
        history: HistoryWriter,
        on_exit: Callable[[str], None],
    ) -> None:
        self._services = services
        self._outages = outages
        self._history = history
        self._on_exit = on_exit
        self._recorded: set[str] = set()  # services that have not been seen alive since

    def look(self) -> None:
        """Record what has ended since the last look."""
        for name, service in self._services.items():
            if service.alive() or self._outages.expects(name):
                self._recorded.discard(name)
            elif name not in self._recorded:
                self._recorded.add(name)
                self._history.event(
                    "service_exit",
                    severity="error",
                    owner="product",
                    service=name,
                    exit_code=service.exit_code(),
                    output=_last_lines(service.log),
                )
                self._on_exit(name)


def _last_lines(log: Path) -> str:
    text = file_tail(log, _OUTPUT_BYTES).decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-_OUTPUT_LINES:])
