"""The options of `chaos doctor`. Standard library only: every `chaos --help` imports this."""

import argparse
from pathlib import Path

TEXT = "check whether a Watcher's working directory and this machine are ready"

EPILOG = """\
examples:
  chaos doctor --workspace ~/watcher
  chaos doctor --workspace ~/watcher --fix
  chaos doctor --json | jq '.items[] | select(.state == "problem")'

--fix makes the synthetic history, test mode and the pipeline's artefacts if they are missing, with
the target's own commands. It also removes locks whose holder is dead. It prints each change and
changes nothing else; a second --fix changes nothing. It never removes a halt flag, because a user
has set it.

exit codes:
  0  no problem (there may be warnings)
  2  usage or configuration error
  4  there are problems: a run here would be invalid
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
    option(
        "--fix",
        action="store_true",
        help="make missing files, remove dead locks, print each change",
    )
    option("--json", action="store_true", help="one JSON object on stdout")
    option("--no-color", action="store_true", help="no colours (also NO_COLOR)")
