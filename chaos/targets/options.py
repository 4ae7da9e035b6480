"""The options of `chaos target`. Standard library only: every `chaos --help` imports this."""

from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class TargetOptions(Options):
    """Write the target of your own daemon, and check it."""

    EPILOG = """\
examples:
  chaos target new --source ~/my-daemon > target.yaml    a commented skeleton from what lies there
  chaos target check target.yaml                       all errors at once, and what will be judged
  chaos target check target.yaml --live                starts it, submits one piece of each kind of
                                                       work, and shows what its records matched
  chaos target schema > target.schema.json             for an editor

docs/own-daemon.md leads from an empty file to a judged run.

exit codes:
  0    the target can be used (--live: and every piece of work was seen to be done)
  1    --live: a piece of work was not done, or a record matched nothing
  2    usage or configuration error
  4    --live: a problem of the infrastructure or the harness
"""

    action: Literal["check", "new", "schema"] = option("what to do", positional=True)
    file: str | None = option("a target's file or name (check)", "TARGET", positional=True)
    live: bool = option("check: start the daemon and submit one piece of each kind of work")
    source: Path | None = option("new: the folder of the daemon's program and files", "DIR")
    runs: Path = common.RUNS
    json: bool = common.PRINT_JSON
