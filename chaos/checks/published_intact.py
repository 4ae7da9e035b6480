"""Published intact: what was published by a rename is at the end as it was published.

A file whose content no fsync had made durable may be empty after a power cut, under its final name.
The witness knows the SHA-256 of what each rename published. Of a file that nobody opened to write,
moved or removed since, the collected content must have it. A file that a power cut has emptied, and
that is empty at the end, was written in place. A file that had content when its fsync failed must
not be published empty. Asked by sweeps: elsewhere the harness itself may
plant or cut files of the daemon.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Evidence, Finding, plural
from chaos.checks.witnessed import finding_of, not_witnessed
from chaos.record.open_run import OpenRun

_PUBLISHED = """
with last as (
    select to_path as path, line, sha256, bytes from file_ops
    where call = 'rename' and sha256 is not null and not starts_with(to_path, '/')
    and not contains(to_path, '__pycache__/') -- Python's own, and not collected
    qualify row_number() over (partition by to_path order by line desc) = 1
)
select path, line, sha256, bytes from last l
where not exists (select 1 from file_ops o where o.line > l.line
    and (o.path = l.path or (o.call = 'link' and o.to_path = l.path)
        or starts_with(l.path, o.path || '/') and o.call = 'rename')
    and o.call in ('open', 'truncate', 'unlink', 'rename', 'link'))
order by line
"""
_EMPTY = """
select o.line, o.to_path || ' was published empty after the fsync of its ' || max(c.bytes)
    || ' bytes had failed'
from file_ops o join calls_changed c on c.path = o.path and c.line < o.line
where c.call = 'fsync' and c.change not in ('SIGKILL', 'delayed') and c.bytes > 0
and o.call = 'rename' and o.bytes = 0 group by o.line, o.to_path order by o.line
"""
_EMPTIED = " cut to 0 bytes"


def judge(run: OpenRun, params: Params) -> list[Finding]:
    """None in a run without the witness."""
    absent = not_witnessed(run)
    if absent is not None:
        return absent
    published = run.sql(_PUBLISHED)
    seen = [*_damaged(run, published), *run.sql(_EMPTY)]
    wrong = [Evidence(f"witness.jsonl:{line}", text) for line, text in seen]
    wrong += [
        Evidence(
            window.ref("recovered"), f"{path} is empty since the power cut of {window.fault_id}"
        )
        for window in run.faults
        for path in _emptied(window.evidence("recovered").get("lost"))
        if (run.files / path).is_file() and not (run.files / path).stat().st_size
    ]
    whole = plural(len(published), "published file")
    return finding_of(
        wrong,
        f"{whole} at the end as published",
        f"{{wrong}} of {whole} not at the end as published",
    )


def _damaged(run: OpenRun, published: list[tuple[str, int, str, int]]) -> Iterator[tuple[int, str]]:
    for path, line, sha256, size in published:
        file = run.files / path
        if not file.is_file():
            yield line, f"{path} is gone; {size} bytes were published"
        elif _digest(file) != sha256:
            yield line, f"{path} has {file.stat().st_size} bytes, {size} others were published"


def _emptied(lost: object) -> Iterator[str]:
    for text in lost if isinstance(lost, list) else []:
        if isinstance(text, str) and text.endswith(_EMPTIED):
            yield text.removesuffix(_EMPTIED)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


CHECK = Check(
    name="published_intact",
    title="Published intact",
    judge=judge,
    depends=depends_on("files"),
)
