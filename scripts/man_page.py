"""Writes docs/man/chaos.1, the manual page of the command, from its parser.

A test compares the two. The default of --runs comes from the environment, so it is left out of it.

    python scripts/man_page.py          # writes the page
    python scripts/man_page.py --check  # exit 1 if it is not up to date
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from unittest import mock

PAGE = Path(__file__).resolve().parents[1] / "docs" / "man" / "chaos.1"


def text() -> str:
    """The manual page of this version."""
    from argparse_manpage.manpage import Manpage

    from chaos.base.version import __version__
    from chaos.cli.main import build_parser

    data = {
        "date": f"chaos {__version__}",
        "project_name": "chaos",
        "version": __version__,
        "manual_title": "User Commands",
        "description": "run an LLM-driven daemon, break its parts, and judge it",
    }
    # argparse wraps the synopsis to the width of the terminal; man would fill its lines again.
    with mock.patch.dict(os.environ, {"COLUMNS": "72"}), mock.patch("sys.argv", ["chaos"]):
        page = str(Manpage(build_parser(), data, format="pretty"))
    page = re.sub(r"(?ms)^(usage: .*?)(?=\n\n|\n\.)", r".nf\n\1\n.fi", page)
    head, comments = page.split(".SH COMMENTS\n")
    return f"{head}.SH EXAMPLES AND EXIT CODES\n.nf\n{comments.rstrip()}\n.fi\n"


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
