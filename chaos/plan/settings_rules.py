"""What the settings of a profile may be. Pure; knows no file.

Settings have free names, since they are filled into the commands and policies of any Watcher. Those
that the harness itself reads have rules of their own, one that ends in `_s` is a time, and none is
more than one value.
"""

from typing import Annotated, Any

import msgspec

from chaos.base.typedtree import Problem, first_problem
from chaos.plan.experiment import PositiveSeconds, Seconds

_COUNT_MAX = 1_000_000
_Some = Annotated[int, msgspec.Meta(ge=1, le=_COUNT_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_COUNT_MAX)]
_KNOWN: dict[str, Any] = {
    "draw_interval_s": PositiveSeconds,
    "llm_timeout_s": PositiveSeconds,
    "llm_attempts": _Some,
    "probe_every_s": Seconds,  # 0: whenever there is room
    "probe_count": _Count,  # 0: without end
    "backlog_max": _Some,
    "batch_invocations_max": _Some,
}
_OTHER: Any = int | float | str | bool


def setting_problem(name: str, value: Any) -> Problem | None:
    """What is wrong with the setting called `name`; None when it may be `value`."""
    return first_problem(value, _KNOWN.get(name, Seconds if name.endswith("_s") else _OTHER))
