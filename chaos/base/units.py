"""Durations as people write them. Pure; raises `UsageError` with what was expected."""

import re

from chaos.base.errors import UsageError

# The longest that anything may take. Nobody runs so long, and every sum of times stays a number.
LENGTH_MAX_S = 30 * 86_400

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|min|h)?")
_FACTOR_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, None: 1.0}


def duration_s(text: str | float, *, place: str = "") -> float:
    """'10s', '500ms', '2m', '1.5h' or a bare number of seconds -> seconds."""
    if isinstance(text, (int, float)):
        return float(text)
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text!r} is not a duration", place=place, next_step="write e.g. 500ms, 10s, 2m or 1h"
        )
    return round(float(match[1]) * _FACTOR_S[match[2]], 6)


def duration_text(seconds: float) -> str:
    """Seconds -> a short text for people: 0.5 s, 42 s, 3 min 05 s, 2 h 00 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def bytes_text(count: float) -> str:
    """Bytes -> MB or kB for people (1 MB = 10^6 bytes)."""
    if abs(count) >= 1e6:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e3:.1f} kB"
