"""The options of `chaos doctor`. Standard library only: every `chaos --help` imports this."""

from __future__ import annotations

import argparse
from pathlib import Path

TEXT = "tell whether a Watcher's working directory and this machine are ready"

EPILOG = """\
examples:
  chaos doctor --workspace ~/watcher
  chaos doctor --workspace ~/watcher --fix
  chaos doctor --json | jq '.items[] | select(.state == "problem")'

--fix makes what is missing, with the target's own commands: the synthetic history, test mode, the
pipeline's artefacts; and removes locks whose holder is dead. It says each change, repeats nothing
that is done, and touches nothing else. A halt flag is somebody's decision: it is never removed.

exit codes:
  0  no problem (warnings may be left)
  2  usage or configuration error
  4  there are problems: nothing could be judged here yet
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options to `parser`."""
    option = parser.add_argument
    option("--target", metavar="NAME", default="reference", help="a target's name or its file")
    option(
        "--workspace",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="the Watcher's working directory (default: the current folder)",
    )
    option("--llm", metavar="HOST:PORT", help="the LLM server (default: the target's endpoint)")
    option("--fix", action="store_true", help="repair what can be repaired, and say what was done")
    option("--json", action="store_true", help="one JSON object on stdout")
    option("--no-color", action="store_true", help="no colours (also NO_COLOR)")
