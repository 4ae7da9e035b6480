"""Names of others: a file name may hold bytes that are no UTF-8, which no JSON can carry.

Python reads such bytes as lone surrogates. In records and reports they are written out, as in
`A\\udcff.json`, so that the same name reads the same everywhere. Knows no record and no report.
"""

from collections.abc import Callable
from typing import Any

import msgspec


def written_out(text: str) -> str:
    """`text` with every lone surrogate written out; any other text as it is."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def written_out_in(value: Any) -> Any:
    """`value`, a JSON object or struct, with lone surrogates written out in every text."""
    return each_text(value, written_out)


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """`value`, a JSON object or a struct that stands for one, with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {each_text(k, change): each_text(item, change) for k, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(each_text(item, change) for item in value)
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return type(value)(**{name: each_text(getattr(value, name), change) for name in names})
    return value
