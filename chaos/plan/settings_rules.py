"""The valid values of a profile's settings. Pure; knows no file.

Settings have free names, because they are filled into the commands and policies of any Watcher.
Those that the harness itself reads have rules of their own. A name that ends in `_s` is a time in
seconds. Every setting is a single value.
"""

from typing import Annotated, Any

import msgspec

from chaos.base.bounded import PositiveSeconds
from chaos.base.typedtree import first_problem
from chaos.plan.experiment import Seconds

_COUNT_MAX = 1_000_000
_Positive = Annotated[int, msgspec.Meta(ge=1, le=_COUNT_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=_COUNT_MAX)]
_KNOWN: dict[str, Any] = {
    "draw_interval_s": PositiveSeconds,
    "llm_timeout_s": PositiveSeconds,
    "llm_attempts": _Positive,
    "probe_every_s": Seconds,  # 0: whenever there is room
    "probe_count": _Count,  # 0: no limit
    "backlog_max": _Positive,
    "batch_invocations_max": _Positive,
}
_OTHER: Any = int | float | str | bool


def check_setting(name: str, value: Any, place: str) -> None:
    """Raises `UsageError` at `place` if the setting `name` must not be `value`."""
    kind = _KNOWN.get(name, Seconds if name.endswith("_s") else _OTHER)
    problem = first_problem(value, kind)
    if problem is not None:
        raise problem.error(place)
