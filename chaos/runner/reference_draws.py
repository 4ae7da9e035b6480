"""Asks the target's reference command for the draws that were due, and stores what it prints.

It runs in the workspace, in the sandbox, once the daemon has ended and its files are collected: it
can change nothing that is judged. Whatever goes wrong with it is recorded, and fails nobody.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from chaos.base.errors import ChaosError
from chaos.record.daemon_files import entries_of
from chaos.record.draws import Generator
from chaos.record.history import HistoryWriter
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.stack.base import Stack

_AHEAD = 1000  # predictions may be of draws that have not come yet
_UNCOUNTED = 20_000  # draws to ask for where they cannot be counted without a query
_BYTES_MAX = 64 << 20
_TO_FILE = 'exec "$@" > "$0"'  # the output of a command of the stack is cut, a file is not


def recompute(stack: Stack, target: Target, rundir: RunDir, history: HistoryWriter) -> None:
    """Run the command, if the target has one, and record the event `draws_recomputed`."""
    generator = target.draws.generator
    if not isinstance(generator, Generator) or not generator.command:
        return
    count = _count(target, rundir) + _AHEAD
    name = f".expected-{secrets.token_hex(4)}"
    detail: dict[str, Any] = {"count": count}
    seed = "" if target.draws.seed is None else str(target.draws.seed)
    words = _filled(generator.command, {"seed": seed, "count": str(count)})
    try:
        done = stack.run(["sh", "-c", _TO_FILE, name, *words], generator.limit_s)
        detail["took_s"] = round(done.took_s, 3)
        said = done.output.strip()
        if done.exit_code is None:
            detail["problem"] = f"the reference command took more than {generator.limit_s:g} s"
        elif done.exit_code:
            detail["problem"] = f"the reference command: exit code {done.exit_code}: {said}"
        else:
            with (stack.workspace / name).open("rb") as stream:
                rundir.expected_draws.write_bytes(stream.read(_BYTES_MAX))
    except (ChaosError, OSError) as error:
        detail["problem"] = f"the reference command cannot be run: {error}"
    history.event("draws_recomputed", **detail)


def _count(target: Target, rundir: RunDir) -> int:
    source = target.draw_log.source
    try:
        return _UNCOUNTED if source is None else len(entries_of(rundir.artefacts, source))
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _filled(words: Sequence[str], values: dict[str, str]) -> list[str]:
    """The words with {seed} and {count}; the other placeholders are the stack's to fill."""
    return [re.sub(r"\{(seed|count)\}", lambda match: values[match[1]], word) for word in words]
