"""`chaos completion SHELL`: a script with which a shell completes commands, options and names.

Names of soaks, targets, faults and topics are written into the script; runs are looked up when
they are asked for.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import shtab

from chaos.faults.base import GROUPS
from chaos.faults.registry import fault_kinds
from chaos.runner.resolve import read_soak, soak_names, target_names

SHELLS = ("bash", "zsh", "fish")
# A completer of each shell that lists runs as the commands take them, and folders.
_RUNS = {
    "bash": "_chaos_dirs_of_runs",
    "zsh": "_chaos_dirs_of_runs",
    "fish": "(__chaos_dirs_of_runs)",
    "preamble": {
        "bash": """
_chaos_dirs_of_runs() {
  local root="${CHAOS_RUNS:-runs}" config names=(latest)
  for config in "$root"/*/*/config.json; do
    [[ -e $config ]] || continue
    config=${config%/config.json}
    names+=("${config#"$root"/}")
  done
  compgen -W "${names[*]}" -- "$1"
  compgen -d -- "$1"
}""",
        "zsh": """
_chaos_dirs_of_runs() {
  local root=${CHAOS_RUNS:-runs}
  local -a names=($root/*/*/config.json(N:h))
  compadd -- latest ${names#$root/}
  _files -/
}""",
        "fish": """
function __chaos_dirs_of_runs
  set -l root runs
  set -q CHAOS_RUNS; and set root $CHAOS_RUNS
  echo latest
  for config in $root/*/*/config.json
    string replace -- $root/ '' (string replace -r '/config.json$' '' $config)
  end
  __fish_complete_directories (commandline -ct)
end""",
    },
}


def script(parser: argparse.ArgumentParser, shell: str, topics: list[str]) -> str:
    """The completion script of `shell` for the command line of `parser`, which is changed."""
    names = _names(topics)
    for command, action in _actions(parser):
        key = f"{command} {action.dest}" if f"{command} {action.dest}" in names else action.dest
        if action.metavar in ("RUN", "RUN|DIR"):
            setattr(action, "complete", _RUNS)  # noqa: B010  (an attribute that shtab reads)
        elif action.metavar == "GATE":
            setattr(action, "complete", shtab.DIRECTORY)  # noqa: B010
        elif key in names and not action.choices:
            action.choices = names[key]
        elif action.type is not None and action.metavar in ("DIR", "FILE", "PATH"):
            kind = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE
            setattr(action, "complete", kind)  # noqa: B010
        if isinstance(action.metavar, str):  # zsh would read the rest of NAME[:KEY=VALUE,...]
            action.metavar = action.metavar.partition("[")[0]
    return shtab.complete(parser, shell)


def _names(topics: list[str]) -> dict[str, list[str]]:
    """(command and) destination of an argument -> the values that are offered."""
    faults = sorted(fault_kinds())
    soaks = soak_names()
    profiles = {name for soak in soaks for name in read_soak(soak)[1].profiles}
    return {
        "soak": soaks,
        "profile": sorted(profiles),
        "target": target_names(),
        "target file": target_names(),
        "fault": [*faults, "none"],
        "faults": ["all", *(group for group in GROUPS if group != "other"), *faults],
        "faults name": faults,
        "topic": topics,
    }


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    """(command, argument) of every command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from ((name, inner) for inner in command._actions)
