"""The two names of the command, and which other package installs a command of the first name.

Chaos Toolkit has a command `chaos`, too. In one environment the package that was installed last
has the name.
"""

import sys
from importlib.metadata import entry_points
from pathlib import Path

FIRST, SECOND = "chaos", "chaos-gate"


def program() -> str:
    """The name that this process was started by: for usage lines."""
    return SECOND if Path(sys.argv[0]).name == SECOND else FIRST


def name_taken() -> str | None:
    """What to tell the user if another package of this environment has a command `chaos`."""
    for point in entry_points(group="console_scripts", name=FIRST):
        if point.dist is not None and point.dist.name != SECOND:  # also the name of our package
            return f"{point.dist.name} {point.dist.version} also installs a command `{FIRST}`"
    return None
