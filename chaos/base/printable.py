"""Foreign text made fit to be shown: logs of the stack may hold any byte. Knows no format."""

import re

# What XML 1.0 cannot carry and a terminal or a page should not obey: control characters other
# than tab and line feed, lone surrogates, the two non-characters, and marks that reverse the
# order in which text is shown.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ELLIPSIS = " [...]"


def printable(text: str) -> str:
    """`text` with every unfit character written out, as in `\\x1b`."""
    return _UNFIT.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def bounded(text: str, characters: int) -> str:
    """At most `characters` of `text`; says so when it was cut."""
    return text if len(text) <= characters else text[: characters - len(_ELLIPSIS)] + _ELLIPSIS


def value_text(value: float | int | str | None) -> str:
    """A measured value or a limit for people: four digits of a fraction, nothing for None."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
