"""Writes docs/checks.md from the registry of checks and from what their modules say of them.

A test compares the two.

    python scripts/checks_page.py          # writes the page
    python scripts/checks_page.py --check  # exit 1 if it is not up to date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import msgspec

from chaos.checks.base import Check
from chaos.checks.registry import CHECKS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "checks.md"
_HEAD = """\
# Checks

Written by `scripts/checks_page.py` from `chaos/checks/`.

A check is one criterion. It asks the record of a run for what is wrong; no row is a pass. Its \
finding says `pass`, `fail`, `inconclusive`, `unverified`, `skipped` or `invalid` \
([verdicts](help/verdicts.md)), with evidence: a file, a line, and what is seen there. The \
tables that checks ask are in [tables](tables.md), and you can ask them, too (`chaos sql`).

*Always* means that a check is judged in every run; the others where an experiment names them \
under `criteria`. A check that needs keys of the target is not judged where the target lacks \
them ([your own daemon](own-daemon.md)). Parameters are set in the experiment, or by `--set \
criteria.CHECK.NAME=VALUE`.
"""


def text() -> str:
    """docs/checks.md as it should be for the registry of this version."""
    return "\n".join([_HEAD, *(_section(check) for check in CHECKS)])


def _section(check: Check) -> str:
    facts = [f"`{check.name}`", "always" if check.always else "where it is named", check.origin]
    lines = [f"## {check.title}", "", " · ".join(facts), "", _described(check), ""]
    if check.says:
        lines += [f"Keys of the target: {', '.join(f'`{key}`' for key in check.says)}.", ""]
    if parameters := _parameters(check):
        lines += [f"Parameters: {', '.join(parameters)}.", ""]
    return "\n".join(lines)


def _described(check: Check) -> str:
    """What the module of a check says of it, without the headline's repetition of its name."""
    (module,) = (
        module
        for name, module in sys.modules.items()
        if name.startswith("chaos.checks.")
        and name != "chaos.checks.registry"
        and any(value is check for value in vars(module).values())
    )
    first, _, rest = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    head, colon, after = first.partition(": ")
    short = f"{after[:1].upper()}{after[1:]}" if colon and len(head) <= 30 else first
    return f"{short}\n\n{rest}" if rest else short


def _parameters(check: Check) -> list[str]:
    return [
        f"`{field.name}`"
        + ("" if field.default is msgspec.NODEFAULT else f" ({_shown(field.default)})")
        for field in msgspec.structs.fields(check.params)
    ]


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def main() -> int:
    """Write the page, or compare it with `--check`, and return the exit code."""
    page = text()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
    if not same:
        print(f"not up to date: {PAGE}; run python {__file__}", file=sys.stderr)
    return int(not same)


if __name__ == "__main__":
    raise SystemExit(main())
