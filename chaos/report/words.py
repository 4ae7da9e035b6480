"""Words and symbols for outcomes, the same in every report. Knows no format."""

from collections.abc import Mapping
from typing import Any

GLYPHS = {
    "pass": "✓",
    "fail": "✗",
    "inconclusive": "?",
    "unverified": "?",
    "skipped": "-",
    "invalid": "!",
}
COLOURS = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "unverified": "yellow",
    "skipped": "dim",
    "invalid": "magenta",
}
ORDER = ("fail", "invalid", "unverified", "inconclusive", "skipped", "pass")  # worst first
UNWRAPPED = 100_000  # columns: wider than any line
# The meaning of each verdict for the reader.
MEANING = {
    "pass": "the Watcher withstood this",
    "fail": "the Watcher did not withstand this",
    "inconclusive": "too little evidence to say",
    "unverified": "not all that was asked for could be proven",
    "invalid": "the run says nothing about the Watcher",
}


def measured_text(measured: Mapping[str, Any]) -> str:
    """Nested measurements on one line: `direct.outcome ok, direct.took_ms 3.1`."""
    return ", ".join(f"{key} {value}" for key, value in _flat("", measured))


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        ]
    if isinstance(value, (list, tuple)):
        return [(prefix, " ".join(str(item) for item in value) or "none")]
    return [(prefix, "-" if value is None else str(value))]


def seconds_text(seconds: float | None) -> str:
    """Run time to a tenth of a second, or a dash."""
    return "-" if seconds is None else f"{seconds:.1f}"
