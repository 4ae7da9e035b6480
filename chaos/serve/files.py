"""The files of a run over HTTP: its page as a page, everything else as text or as a download.

A run may come from anywhere, and its page may be forged: it is shown in a sandbox of its own, in
which its scripts can reach neither this server nor another. Links are not followed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from chaos.base.below import open_below, read_below
from chaos.record.batch_list import KINDS

PAGE = "report.html"  # of a run, and of a gate
PAGES = (PAGE, *(kind.page for kind in KINDS.values()))
_PAGE_BYTES_MAX = 32 << 20
_CHUNK_BYTES = 1 << 16
# `allow-scripts` without `allow-same-origin`: the page is of an origin of its own.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-downloads allow-modals allow-popups"
)
_TEXTS = (
    *(".json", ".jsonl", ".log", ".md", ".txt", ".xml", ".prom", ".yaml", ".yml", ".py", ".csv"),
    *(".toml", ".cfg", ".ini", ".conf", ".sh", ".html", ".lock"),
)


def page(root: Path, relative: str, bar: str) -> Response:
    """A page of a run with `bar` (markup of ours) at its top. Raises `OSError`."""
    content = read_below(root, relative, _PAGE_BYTES_MAX)
    begin = content.find(b"<body>")
    if begin >= 0:
        end = begin + len(b"<body>")
        content = content[:end] + bar.encode() + content[end:]
    return Response(
        content,
        media_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": _PAGE_POLICY},
    )


def file(root: Path, relative: str, *, head: bool) -> Response:
    """Any other file, read as it is sent. Raises `OSError`."""
    stream = open_below(root, relative)
    name = relative.rpartition("/")[2]
    text = name.lower().endswith(_TEXTS) or "." not in name
    kind = "text/plain; charset=utf-8" if text else "application/octet-stream"
    headers = {} if text else {"Content-Disposition": f"attachment; filename*=UTF-8''{_name(name)}"}
    if head:
        stream.close()
        return Response(media_type=kind, headers=headers)
    return StreamingResponse(_chunks(stream), media_type=kind, headers=headers)


def _name(name: str) -> str:
    return quote(name.encode("utf-8", "surrogateescape"), safe="")


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
