"""One request of each kind that a target has: what `chaos target check --live` submits."""

from datetime import UTC, datetime
from typing import ClassVar

from chaos.plan.request_template import PLAN_KINDS, Wanted
from chaos.soaks.sequential_requests import SequentialRequests

SOURCE = "target_check"


class OneOfEach(SequentialRequests):
    """Stages one request of each kind, and is done when all are answered."""

    name: ClassVar[str] = "one_of_each"

    def requests(self) -> list[Wanted]:
        """One of each kind; one of any where the target names none."""
        kinds = list(self._target.work.kinds) or ["selfplay"]
        return [
            Wanted(
                name=self._target.work.named(f"check_{number:02d}"),
                kind=kind,
                source=SOURCE,
                reason="one piece of each kind of work",
                timestamp=datetime.now(UTC).isoformat(),
                sequence=number,
                scope="steps_3_5_6" if kind == PLAN_KINDS[1] else "",
            )
            for number, kind in enumerate(kinds, start=1)
        ]
