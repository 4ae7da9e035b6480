"""Read the settings of a workload from an experiment's profile. Knows no workload."""

from collections.abc import Mapping
from typing import Any

from chaos.base.errors import UsageError


def number(settings: Mapping[str, Any], name: str, *, at_least: float = 0.0) -> float:
    """The setting `name` as a number. Raises `UsageError` if it is missing or too small."""
    value = settings.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= at_least:
        return float(value)
    invalid = f"{value!r} is not a number of at least {at_least:g}"
    raise UsageError(
        invalid if name in settings else f"the setting {name} is missing",
        place=f"settings.{name}",
        next_step=f"write a number of at least {at_least:g}",
    )
