"""Writes docs/man/chaos.1, the manual page of the command, from its parser.

A test compares the two. The default of --runs comes from the environment, so it is left out of it.

    python scripts/man_page.py          # writes the page
    python scripts/man_page.py --check  # exit 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from unittest import mock

PAGE = Path(__file__).resolve().parents[1] / "docs" / "man" / "chaos.1"


def text() -> str:
    """The manual page of this version, in the macros of man(7)."""
    from chaos.base.version import __version__
    from chaos.cli.main import build_parser

    # argparse wraps the synopsis to the width of the terminal; man would fill its lines again.
    with mock.patch.dict(os.environ, {"COLUMNS": "72"}), mock.patch("sys.argv", ["chaos"]):
        parser = build_parser()
        (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        lines = [
            f'.TH CHAOS "1" "chaos {__version__}" "chaos {__version__}" "User Commands"',
            ".SH NAME",
            _roff("chaos - run an LLM-driven daemon, break its parts, and judge it"),
            ".SH SYNOPSIS",
            r"\fBchaos\fR [\-h] [\-\-version] \fICOMMAND\fR ...",
            ".SH DESCRIPTION",
            _roff(parser.description or ""),
            ".SH COMMANDS",
        ]
        for action in commands._choices_actions:
            lines += [".TP", rf"\fBchaos {_roff(action.dest)}\fR", _roff(action.help or "")]
        for name, command in commands.choices.items():
            lines += [f'.SH "COMMAND {_roff(name).upper()}"', *_verbatim(command.format_usage())]
            lines.append(_roff(command.description or ""))
            for action in command._actions:
                lines += [".TP", _named(action), _roff(_help(command, action))]
            lines += _verbatim(command.epilog or "")
        lines += [".SH EXAMPLES AND EXIT CODES", *_verbatim(parser.epilog or "")]
    return "\n".join(lines) + "\n"


def _named(action: argparse.Action) -> str:
    """An option with its value, or the name of an argument."""
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    shown = rf"\fI{_roff(str(value))}\fR"
    if not action.option_strings:
        return shown
    names = ", ".join(rf"\fB{_roff(name)}\fR" for name in action.option_strings)
    return names if action.nargs == 0 else f"{names} {shown}"


def _help(command: argparse.ArgumentParser, action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": command.prog}


def _verbatim(text: str) -> list[str]:
    """Lines that man must not fill."""
    return [".PP", ".nf", *map(_roff, text.strip("\n").splitlines()), ".fi"] if text else []


def _roff(text: str) -> str:
    """`text` with what troff would take as its own written out."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def main() -> int:
    """Write the page, or compare it with `--check`, and return the exit code."""
    page = text()
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        if not same:
            print(f"not up to date: {PAGE}; run python {__file__}", file=sys.stderr)
        return int(not same)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
