"""Where exactly plain data breaks a type: path, expectation, nearest valid key.

Only called once a conversion has failed, since msgspec's own message loses the keys of
mappings. Knows nothing of files.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from chaos.base.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Problem:
    """The first thing wrong: the path to it, what it is, and what would be right."""

    keys: tuple[str | int, ...]
    message: str
    next_step: str = ""

    def error(self, place: str) -> UsageError:
        """The problem as an error at `place`."""
        return UsageError(self.message, place=place, next_step=self.next_step)


def first_problem(data: Any, kind: Any, keys: tuple[str | int, ...] = ()) -> Problem | None:
    """The first place in `data` (depth first) that does not fit `kind`; None if it fits."""
    return next(problems(data, kind, keys), None)


def problems(data: Any, kind: Any, keys: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Every place in `data` (depth first) that does not fit `kind`."""
    kind = _without_none(kind, data)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(data, dict):
        yield from _in_struct(data, kind, keys)
    elif origin is dict and isinstance(data, dict):
        value_kind = get_args(kind)[1]
        for key, value in data.items():
            yield from problems(value, value_kind, (*keys, key))
    elif origin in (list, tuple) and isinstance(data, list):
        for number, value in enumerate(data):
            yield from problems(value, get_args(kind)[0], (*keys, number))
    else:
        yield from _leaf(data, kind, keys)


def _without_none(kind: Any, data: Any) -> Any:
    """`X` of `X | None` when there is a value to look into; of several `X` the one for mappings."""
    if get_origin(kind) not in (Union, types.UnionType) or data is None:
        return kind
    rest = [arm for arm in get_args(kind) if arm is not type(None)]
    structs = [arm for arm in rest if isinstance(arm, type) and issubclass(arm, msgspec.Struct)]
    if isinstance(data, dict) and len(structs) == 1:
        return structs[0]
    return rest[0] if len(rest) == 1 else kind


def _in_struct(
    data: dict[str, Any], kind: type[msgspec.Struct], keys: tuple[str | int, ...]
) -> Iterator[Problem]:
    hints = get_type_hints(kind, include_extras=True)
    fields = {item.encode_name: item for item in msgspec.structs.fields(kind)}
    if kind.__struct_config__.forbid_unknown_fields:
        for key in data:
            if key not in fields:
                error = unknown_name("key", key, fields)
                yield Problem((*keys, key), error.message, error.next_step)
    for key, value in data.items():
        if key in fields:
            yield from problems(value, hints[fields[key].name], (*keys, key))
    missing = [name for name, item in fields.items() if item.required and name not in data]
    if missing:
        expected = ", ".join(f"{name} ({kind_text(hints[fields[name].name])})" for name in missing)
        yield Problem(keys, f"missing {', '.join(missing)}", f"add {expected}")


def _leaf(data: Any, kind: Any, keys: tuple[str | int, ...]) -> Iterator[Problem]:
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError:
        got = "nothing" if data is None else repr(data)
        shown = got if len(got) <= 60 else f"{got[:57]}..."
        yield Problem(keys, f"{shown} is not {kind_text(kind)}", f"write {kind_text(kind)}")


_WORDS = {
    float: "a number",
    int: "a whole number",
    str: "text",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
    type(None): "nothing",
}
_BOUNDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def kind_text(kind: Any) -> str:
    """A type in words: 'a number more than 0', 'a list of text', 'TERM or INT'."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return " ".join([kind_text(args[0]), *(_bounds(meta) for meta in args[1:])]).strip()
    if origin in (Union, types.UnionType):
        return " or ".join(kind_text(arm) for arm in args)
    if origin in (list, tuple):
        return f"a list of {_plural(args[0])}"
    if origin is dict:
        return "a mapping"
    if origin is not None:  # Literal
        return " or ".join(str(arm) for arm in args)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return (
            f"a mapping with {', '.join(item.encode_name for item in msgspec.structs.fields(kind))}"
        )
    return _WORDS.get(kind, "a value")


def _plural(kind: Any) -> str:
    text = kind_text(kind)
    return {"a list of text": "lists of text", "a number": "numbers"}.get(text, text)


def _bounds(meta: Any) -> str:
    limits = ((word, getattr(meta, name, None)) for name, word in _BOUNDS.items())
    return " and ".join(f"{word} {limit:.9g}" for word, limit in limits if limit is not None)
