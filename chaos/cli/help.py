"""`chaos help [TOPIC]`: short texts about what a user meets, from docs/help/.

The texts are documents of the repository that come with the package; this module knows none of
them. Standard library only: a help answers at once.
"""

import re
from pathlib import Path

from chaos.base.errors import unknown_name
from chaos.base.shipped import HELP

_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def topics() -> dict[str, str]:
    """Topic -> what it is about, in alphabetic order."""
    return {path.stem: _lines(path)[0].partition(": ")[2] for path in sorted(HELP.glob("*.md"))}


def topic_text(name: str, commands: list[str]) -> str:
    """The text of a topic for a terminal.

    Raises `UsageError` for a name that is neither a topic nor one of `commands`.
    """
    known = topics()
    if name not in known:
        raise unknown_name(
            "topic or command",
            name,
            [*known, *commands],
            place="chaos help",
            listed_by="chaos help",
        )
    title, *rest = _lines(HELP / f"{name}.md")
    title = title.removeprefix("# ")
    lines = [title, "-" * len(title), *(line for line in rest if line != "```")]
    return _LINK.sub(r"\1", "\n".join(lines))


def overview(commands: dict[str, str]) -> str:
    """All topics and commands with what they are about."""
    width = max(map(len, [*topics(), *commands])) + 2
    lines = ["topics: chaos help TOPIC"]
    lines += [f"  {name:<{width}}{title}" for name, title in topics().items()]
    lines += ["", "commands: chaos help COMMAND, or chaos COMMAND --help"]
    lines += [f"  {name:<{width}}{about}" for name, about in commands.items()]
    return "\n".join(lines)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip().splitlines()
