"""Options of a command, declared once: a class whose fields carry their help texts.

::

    class RunOptions(Options):
        \"\"\"Run a soak, and judge it.\"\"\"

        soak: str | None = option("name of a soak", "SOAK", positional=True)
        seed: int | None = option("of the schedule", "N")

`add_arguments` builds the arguments of a parser from the fields, `Options.parsed` makes the object
from what was parsed. The docstring is the description of the command. Standard library only,
without `dataclasses`: every `chaos --help` imports this.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, get_args, get_origin


class Option(NamedTuple):
    """What the type of a field does not say. `short` is a second form (`-q`)."""

    help: str | None
    metavar: str | None
    positional: bool
    short: str
    default: Any


def option(
    text: str | None = None,
    metavar: str | None = None,
    *,
    positional: bool = False,
    short: str = "",
    default: Any = None,
) -> Any:
    """Declare a field of `Options`; `Any`, because its value will be of the field's own type."""
    return Option(text, metavar, positional, short, default)


class Options:
    """The options of one command. The option of the field `fail_fast` is `--fail-fast`.

    The type decides how an option is written: a bool is a switch, a Sequence may be repeated, a
    Literal has choices. A positional whose type has no None must be given.
    """

    EPILOG: ClassVar[str] = ""  # the text below the options
    EXCLUSIVE: ClassVar[tuple[str, ...]] = ()  # of these fields, one at most may be given

    def __init__(self, **values: Any) -> None:
        for name, kind, declared in _fields(type(self)):
            default = False if kind is bool else () if _is_list(kind) else declared.default
            setattr(self, name, values.pop(name, default))
        if values:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(values)}")

    @classmethod
    def parsed(cls, namespace: argparse.Namespace) -> Self:
        """The options that a parser with the arguments of this class has parsed."""
        values = {name: getattr(namespace, name) for name, _, _ in _fields(cls)}
        return cls(**{name: value for name, value in values.items() if value is not None})


def add_arguments(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add an argument to `parser` for each field of `options`."""
    group = parser.add_mutually_exclusive_group() if options.EXCLUSIVE else parser
    for name, kind, declared in _fields(options):
        add = (group if name in options.EXCLUSIVE else parser).add_argument
        words = [name if declared.positional else f"--{name.replace('_', '-')}"]
        words = [declared.short, *words] if declared.short else words
        if kind is bool:
            add(*words, action="store_true", help=declared.help)
            continue
        details: dict[str, Any] = {"help": declared.help, "metavar": declared.metavar}
        may_be_absent = type(None) in get_args(kind)
        kind = get_args(kind)[0] if may_be_absent else kind
        element = get_args(kind)[0] if _is_list(kind) else kind
        if get_args(element):
            details["choices"] = get_args(element)
        elif element in _PARSERS:
            details["type"] = _PARSERS[element]
        if _is_list(kind):
            details |= {"nargs": "*"} if declared.positional else {"action": "append"}
        elif declared.positional and may_be_absent:
            details["nargs"] = "?"
        add(*words, **details)


def _fields(options: type[Options]) -> Iterator[tuple[str, Any, Option]]:
    """(name, type, declaration) of each option, in order."""
    for name, kind in options.__annotations__.items():
        declared = getattr(options, name)
        if isinstance(declared, Option):
            yield name, kind, declared


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is Sequence


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _path(text: str) -> Path:
    if not text:  # it would mean the current folder; mostly it is a variable that was not set
        raise argparse.ArgumentTypeError("an empty path")
    return Path(text)


_PARSERS: dict[Any, Any] = {int: _whole, float: float, Path: _path}
