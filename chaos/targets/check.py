"""All that is wrong with a target's file, and what a run of it would judge. Starts nothing."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from chaos.base.errors import ChaosError, UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.base.typedtree import problems
from chaos.base.yamlfile import Document
from chaos.checks.registry import CHECKS
from chaos.plan.target_rules import target_errors
from chaos.plan.target_sources import source_errors
from chaos.record.target import ALL_UNSAID, Records, Target
from chaos.runner.resolve import name_error, placeholder_errors, read_soak, target_document


def errors_in(name: str) -> tuple[Document, Target | None, list[UsageError]]:
    """(the file, the target if its types are right, everything that is wrong).

    Raises `UsageError` where there is no file, or no YAML in it.
    """
    document = target_document(name)
    wrong = [p.error(document.place(*p.keys)) for p in problems(document.data, Target)]
    if wrong:
        return document, None, wrong
    target = document.to(Target)
    named = name_error(document, "target", target.target)
    wrong = [] if named is None else [named]
    wrong += [*target_errors(document, target), *source_errors(document, target)]
    wrong += [*_placeholder_errors(document), *_record_errors(document, target)]
    return document, target, wrong


def _placeholder_errors(document: Document) -> Iterator[UsageError]:
    settings = read_soak("soak_c", EXPERIMENTS)[1].profiles["quick"].settings
    yield from placeholder_errors(document, settings, "soak_c")


def _record_errors(document: Document, target: Target) -> Iterator[UsageError]:
    """Each record whose SQL cannot run; tried on no files at all."""
    from chaos.record.daemon_sql import expanded
    from chaos.record.database import Database

    for name in Records.__struct_fields__:
        record = getattr(target.records, name)
        if record is None:
            continue
        with tempfile.TemporaryDirectory(prefix="chaos-target-") as folder:
            database = Database(Path(folder))
            try:
                database.define("tried", expanded(database, Path(folder), record.sql).sql)
                database.fill("create temp table tried_rows as select * from tried")
            except ChaosError as error:
                place = document.place("records", name, "sql")
                yield UsageError(error.message, place=place, next_step=error.next_step)
            finally:
                database.close()


def judged_by(target: Target) -> dict[str, str]:
    """Each check -> "" if a run of this target can judge it, else why it cannot."""
    return {check.name: _why_not(target, check.name, check.says) for check in CHECKS}


def _why_not(target: Target, name: str, says: tuple[str, ...]) -> str:
    lacks = target.lacks(says)
    reason = target.not_applicable.get(name)
    if reason is None and lacks:
        reason = target.not_applicable.get(ALL_UNSAID)
    if reason is not None:
        return f"not applicable: {reason}"
    return lacks
