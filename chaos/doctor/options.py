"""The options of `chaos doctor`. Standard library only: every `chaos --help` imports this."""

from pathlib import Path

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class DoctorOptions(Options):
    """Check whether a Watcher's working directory and this machine are ready."""

    EPILOG = """\
examples:
  chaos doctor                                 only this machine, unless you are in such a folder
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

    target: str = common.TARGET
    workspace: Path | None = option(
        "the Watcher's working directory (default: the current folder, if it is one; else only the "
        "machine is examined)",
        "DIR",
    )
    llm: str | None = common.LLM
    fix: bool = option("make missing files, remove dead locks, print each change")
    json: bool = option("one JSON object on stdout")
    no_color: bool = common.NO_COLOR
