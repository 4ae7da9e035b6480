"""How a command shows a run, and how it says so to the processes that it starts.

Standard library only: the command line imports this.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from typing import Literal, Self, get_args

Mode = Literal["live", "lines", "quiet", "json"]


@dataclass(frozen=True)
class Display:
    """`json`: stdout has only the verdict. `verbose`: every finding, also those that passed.
    `page`: the run writes its page (of many short runs, few are looked at).
    """

    mode: Mode = "lines"
    no_color: bool = False
    verbose: bool = False
    page: bool = True

    @classmethod
    def chosen(
        cls,
        *,
        json: bool = False,
        quiet: bool = False,
        no_color: bool = False,
        verbose: bool = False,
    ) -> Self:
        """From the options of a command: live on a terminal that can be redrawn, lines elsewhere.

        No colours with NO_COLOR, too (https://no-color.org).
        """
        plain = no_color or bool(os.environ.get("NO_COLOR"))
        return cls("json" if json else "quiet" if quiet else _progress_mode(), plain, verbose)

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Let `parser` read what `words` writes."""
        parser.add_argument("--display", choices=get_args(Mode), default="lines")
        parser.add_argument("--no-color", action="store_true")
        parser.add_argument("--verbose", action="store_true")
        parser.add_argument("--no-page", action="store_true")

    @classmethod
    def parsed(cls, args: argparse.Namespace) -> Self:
        """The display that a parser with these arguments has read."""
        return cls(args.display, args.no_color, args.verbose, not args.no_page)

    @property
    def json(self) -> bool:
        """True if stdout has only the verdict."""
        return self.mode == "json"

    @property
    def quiet(self) -> bool:
        """True if only the result is shown."""
        return self.mode == "quiet"

    def words(self) -> list[str]:
        """The arguments for a process that shows the run."""
        page = [] if self.page else ["--no-page"]
        return ["--display", self.mode, *self._style(), *page]

    def check_words(self) -> list[str]:
        """The options of `chaos check` for this way to show a run."""
        mode = {"json": ["--json"], "quiet": ["--quiet"]}.get(self.mode, [])
        return [*mode, *self._style()]

    def _style(self) -> list[str]:
        color = ["--no-color"] if self.no_color else []
        return [*color, "--verbose"] if self.verbose else color


def _progress_mode() -> Mode:
    redrawn = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return "live" if redrawn and not os.environ.get("CI") else "lines"
