"""Names of others: a file name may hold bytes that are no UTF-8, which no JSON can carry.

Python reads such bytes as lone surrogates. In records and reports they are written out, as in
`A\\udcff.json`, so that the same name reads the same everywhere. Knows no record and no report.
"""

from __future__ import annotations

from typing import Any

import msgspec


def written_out(text: str) -> str:
    """`text` with every lone surrogate written out; any other text as it is."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def written_out_in(value: Any) -> Any:
    """The same for all texts in `value`: of a JSON object, or of a struct that stands for one."""
    if isinstance(value, str):
        return written_out(value)
    if isinstance(value, dict):
        return {written_out_in(key): written_out_in(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(written_out_in(item) for item in value)
    if isinstance(value, msgspec.Struct):
        fields = {name: written_out_in(getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**fields)
    return value
