"""Check what a target says of its records: their columns, and how the draws are recomputed.

Pure; applied as the rules of target_rules.py are.
"""

from collections.abc import Iterator

import msgspec

from chaos.base.typedtree import Problem
from chaos.plan.value_rules import command
from chaos.record.draws import Draws, Generator
from chaos.record.record_sql import columns_of
from chaos.record.target import Target

_WORD_MAX, _SHIFT_MAX = 1 << 64, 63  # of a generator's numbers
# The columns of each record; those that it must have stand before the bar.
_COLUMNS = {
    "decisions": "request | line id sequence source status dispatch kind fallback started_at "
    "ended_at child_pid child_exit written",
    "calls": "line ok | number started_at ended_at attempts answer",
    "draws": "value | line position source",
    "telemetry": "model_count | line timestamp",
    "predictions": "values | line draw_index timestamp",
}


def record_problems(target: Target) -> Iterator[Problem]:
    """Every column that is missing or not known."""
    for name, words in _COLUMNS.items():
        record = getattr(target.records, name)
        if record is None:
            continue
        columns = columns_of(record.sql)
        keys = ("records", name, "sql")
        required, _, optional = words.partition(" | ")
        known = f"{required} {optional}".split()
        for column in sorted(columns - set(known)):
            step = f"columns of {name}: {', '.join(known)}"
            yield Problem(keys, f"there is no column {column!r} in the table {name}", step)
        for column in required.split():
            if column not in columns:
                step = f"select … as {column}; every column is named in the last select list"
                yield Problem(keys, f"the column {column} is missing", step)


def generator_problems(draws: Draws) -> Iterator[Problem]:
    """Everything in `draws.generator` that cannot be used."""
    generator, keys = draws.generator, ("draws", "generator")
    if not isinstance(generator, Generator):
        return
    if bool(generator.command) == (generator.lcg is not None):
        yield Problem(keys, "exactly one of lcg and command is needed", "write one of them")
    if generator.command and (complaint := command(generator.command)):
        yield Problem((*keys, "command"), *complaint)
    if generator.lcg is None:
        return
    for name, value in msgspec.structs.asdict(generator.lcg).items():
        least = 1 if name == "m" else 0
        most = _SHIFT_MAX if name == "shift" else _WORD_MAX
        if not least <= value <= most:
            step = f"write a whole number from {least} to {most}"
            yield Problem((*keys, "lcg", name), f"{value} is out of range", step)
