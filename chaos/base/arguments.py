"""Options of a command, declared once: a class whose fields carry their help texts.

::

    class RunOptions(Options):
        \"\"\"Run a soak, and judge it.\"\"\"

        soak: Annotated[str | None, argument("name of a soak", "SOAK", positional=True)] = None
        seed: Annotated[int | None, argument("of the schedule", "N")] = None

`add_arguments` builds the parser's arguments from the fields, `parsed` makes the object from what
was parsed. The docstring is the description of the command, `EPILOG` the text below its options.
Standard library only, without `dataclasses`: every `chaos --help` imports this.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    dataclass_transform,
    get_args,
    get_origin,
)


class Argument(NamedTuple):
    """What the type and the default of a field do not say."""

    help: str | None
    metavar: str | None
    positional: bool
    short: str


def argument(
    text: str | None = None,
    metavar: str | None = None,
    *,
    positional: bool = False,
    short: str = "",
) -> Argument:
    """Declare an option. `short` is its second form (`-q`), `text` None leaves out the help."""
    return Argument(text, metavar, positional, short)


@dataclass_transform(kw_only_default=True)
class Options:
    """The options of one command. A field without a default must be given.

    The option of the field `fail_fast` is `--fail-fast`. Its type decides how it is written: a bool
    is a switch, a Sequence may be repeated, a Literal has choices.
    """

    EPILOG: ClassVar[str] = ""
    EXCLUSIVE: ClassVar[tuple[str, ...]] = ()  # of these fields, one at most may be given

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            if name not in self.__annotations__:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
            setattr(self, name, value)

    @classmethod
    def parsed(cls, namespace: argparse.Namespace) -> Self:
        """The options that a parser with the arguments of this class has parsed."""
        names = [name for name, _, _ in _arguments(cls)]
        values = {name: getattr(namespace, name) for name in names}
        return cls(**{name: value for name, value in values.items() if value is not None})


def add_arguments(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Add an argument to `parser` for each field of `options`."""
    group = parser.add_mutually_exclusive_group() if options.EXCLUSIVE else parser
    for name, kind, declared in _arguments(options):
        add = (group if name in options.EXCLUSIVE else parser).add_argument
        words = [name if declared.positional else f"--{name.replace('_', '-')}"]
        words = [declared.short, *words] if declared.short else words
        if kind is bool:
            add(*words, action="store_true", help=declared.help)
            continue
        details: dict[str, Any] = {}
        if type(None) in get_args(kind):
            kind = get_args(kind)[0]
        origin: Any = get_origin(kind)
        listed = origin is Sequence
        if origin is Literal:
            details["choices"] = get_args(kind)
        elif not listed and kind is not str:
            details["type"] = {int: _whole, float: float, Path: _path}[kind]
        if listed and not declared.positional:
            details["action"] = "append"
        elif declared.positional and hasattr(options, name):
            details["nargs"] = "*" if listed else "?"
        add(*words, metavar=declared.metavar, help=declared.help, **details)


def _arguments(options: type[Options]) -> Iterator[tuple[str, Any, Argument]]:
    """(name, type, declaration) of each field that is an argument, in order."""
    for name, hint in options.__annotations__.items():
        parts = get_args(hint)
        if parts and isinstance(parts[-1], Argument):
            yield name, parts[0], parts[-1]


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _path(text: str) -> Path:
    if not text:  # it would mean the current folder; mostly it is a variable that was not set
        raise argparse.ArgumentTypeError("an empty path")
    return Path(text)
