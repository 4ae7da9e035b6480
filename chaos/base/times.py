"""Time stamps as other programs write them."""

from datetime import UTC, datetime
from typing import Any


def parsed_time(stamp: Any) -> datetime | None:
    """An ISO time stamp, in UTC where it names no zone; None when it is not one."""
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
