"""The lines that evidence refers to, read from the run directory in one pass per file."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from chaos.base.printable import bounded, printable

LINE_CHARACTERS_MAX = 600
_LINE_BYTES_MAX = 1 << 20
_EXCERPTS_MAX = 500
_SEARCH_LINES_MAX = 5_000_000


def split_ref(ref: str) -> tuple[str, int | None]:
    """'history.jsonl:12' -> ('history.jsonl', 12). The line is None in a reference to a file."""
    path, _, line = ref.rpartition(":")
    return (path, int(line)) if path and line.isascii() and line.isdigit() else (ref, None)


def excerpts(root: Path, refs: Iterable[str]) -> dict[str, str]:
    """Reference -> its line as printable text, without references to missing lines.

    Files outside `root` are never read.
    """
    wanted: dict[str, dict[int, str]] = defaultdict(dict)
    for ref in list(dict.fromkeys(refs))[:_EXCERPTS_MAX]:
        path, line = split_ref(ref)
        if line is not None:
            wanted[path][line] = ref
    texts: dict[str, str] = {}
    base = root.resolve()
    for path, lines in wanted.items():
        full = (root / path).resolve()
        if full.is_relative_to(base) and full.is_file():
            texts |= _lines(full, lines)
    return texts


def _lines(path: Path, wanted: dict[int, str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    last = min(max(wanted), _SEARCH_LINES_MAX)
    try:
        stream = path.open("rb")
    except OSError:
        return texts
    with stream:
        for number, line in enumerate(_beginnings(stream), start=1):
            if number in wanted:
                text = line[: 4 * LINE_CHARACTERS_MAX].decode("utf-8", "replace").rstrip("\r\n")
                texts[wanted[number]] = bounded(printable(text), LINE_CHARACTERS_MAX)
            if number >= last:
                break
    return texts


def _beginnings(stream: BinaryIO) -> Iterator[bytes]:
    """Each line; of an overlong line only its beginning."""
    beginning = True
    while line := stream.readline(_LINE_BYTES_MAX):
        if beginning:
            yield line
        beginning = line.endswith(b"\n")
