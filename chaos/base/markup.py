"""Foreign text inside Markdown, of which nothing may become mark-up: logs and file names say
whatever they like, and GitHub renders what it is given. Knows no report.
"""

import re

from chaos.base.printable import printable

# An underscore within a word marks nothing up: names stay readable in the file itself.
_MARKS = re.compile(r"[\\`*|<>\[\]~&]|(?<![^\W_])_|_(?![^\W_])")
# What would begin a heading or a list, or make a heading of the line before.
_FIRST = re.compile(r"^(?=#{1,6}(?: |$)|[+-](?: |$|-)|=+$)|^(\d{1,9})(?=[.)](?: |$))")
_TICKS = re.compile("`+")


def inline(text: str) -> str:
    """`text` on one line, and nothing of it is mark-up."""
    escaped = _MARKS.sub(r"\\\g<0>", printable(" ".join(text.split())))
    return _FIRST.sub(lambda match: f"{match[1] or ''}\\", escaped)


def code(text: str, *, cell: bool = False) -> str:
    """`text` as code within a line, its fence longer than any run of backticks in it.

    `cell`: inside a table, where a bar would end the cell even in code.
    """
    shown = printable(text).replace("\n", "\\n")
    ticks = _fence(shown, 1)
    padding = " " if not shown or shown[0] == "`" or shown[-1] == "`" else ""
    whole = f"{ticks}{padding}{shown}{padding}{ticks}"
    return whole.replace("|", "\\|") if cell else whole


def block(lines: list[str], language: str = "") -> str:
    """A block of code that no line of it can end."""
    text = "\n".join(lines)
    ticks = _fence(text, 3)
    return f"{ticks}{language}\n{text}\n{ticks}"


def _fence(text: str, least: int) -> str:
    longest = max(map(len, _TICKS.findall(text)), default=0)
    return "`" * max(least, longest + 1)
