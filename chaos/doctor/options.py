"""The options of `chaos doctor`. Standard library only: every `chaos --help` imports this."""

from pathlib import Path
from typing import Annotated

from chaos.base.arguments import Options, argument
from chaos.runner.common_options import (
    NoColor,
)


class DoctorOptions(Options):
    """Check whether a Watcher's working directory and this machine are ready."""

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

    target: Annotated[str, argument("a target's name or its file", "NAME")] = "reference"
    workspace: Annotated[
        Path,
        argument("the Watcher's working directory (default: the current folder)", "DIR"),
    ] = Path()
    llm: Annotated[
        str | None, argument("the LLM server (default: the target's endpoint)", "HOST:PORT")
    ] = None
    fix: Annotated[bool, argument("make missing files, remove dead locks, print each change")] = (
        False
    )
    json: Annotated[bool, argument("one JSON object on stdout")] = False
    no_color: NoColor = False
