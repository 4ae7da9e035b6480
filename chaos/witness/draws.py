"""Signal `draws.count`: the exact number of draws in the history file, or in a log of them.

The history is large and is replaced as a whole for each new draw. Decoding it whole at each change
would cost more than all other signals together. Knows no process and no endpoint.
"""

import time
from pathlib import Path
from typing import Any

import msgspec

from chaos.base.files import list_at
from chaos.witness.base import PathTail, SourceBase, Values, read_file, reason, stat, unchanged_key

_PERIOD_S = 0.5
_FILE_BYTES_MAX = 256 * 1024 * 1024


class DrawCount(SourceBase):
    """Counts the draws. Reads the file only after a change, and decodes only what was added.

    If a new version begins with the old one up to its last draw, the decoder would be in the same
    state there, so only the rest is decoded. That needs a file whose only key is the list; any
    other file is decoded whole after each change.
    """

    def __init__(self, workspace: Path, path: str, list_field: str) -> None:
        super().__init__("draws", _PERIOD_S)
        self._path = str(workspace / path)
        self._list, self._whole = list_field, not list_field or "." in list_field
        # Elements stay raw text: no object per draw.
        fields = [("draws", list[msgspec.Raw])]
        rename = {"draws": list_field}
        strict = msgspec.defstruct("OnlyDraws", fields, rename=rename, forbid_unknown_fields=True)
        lenient = msgspec.defstruct("DrawsAmongKeys", fields, rename=rename)
        self._strict: msgspec.json.Decoder[Any] = msgspec.json.Decoder(strict)
        self._lenient: msgspec.json.Decoder[Any] = msgspec.json.Decoder(lenient)
        self._opening = b"{%b:[null" % msgspec.json.encode(list_field)
        self._key: tuple[int, ...] | None = None
        self._count: int | None = None
        self._head = b""  # the last version up to the end of its last draw; empty if not usable
        self._head_count = 0

    def read(self, values: Values) -> None:
        read_at_ns = time.time_ns()
        try:
            key = unchanged_key(stat(self._path), read_at_ns)
            if key is None or key != self._key:
                self._absent.clear()
                self._key, self._count = key, None
                self._count = self._count_draws(read_file(self._path, _FILE_BYTES_MAX))
        except OSError as error:
            self._key, self._count = None, None
            self._absent["draws"] = reason(error)
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, RecursionError) as error:
            self._absent["draws"] = f"not a draw history: {error}"
        if self._count is not None:
            values["draws.count"] = self._count

    def _count_draws(self, raw: bytes) -> int:
        added = self._after_head(raw)
        if added is None:
            self._head, self._head_count = b"", 0
            try:
                added = self._strict.decode(raw).draws
            except msgspec.ValidationError:  # there are other keys, or there is no list
                if self._whole:
                    return len(list_at(msgspec.json.decode(raw), self._list))
                return len(self._lenient.decode(raw).draws)
        count = self._head_count + len(added)
        if added:
            # Only white space and brackets follow the last draw, so its last occurrence is it.
            last = bytes(added[-1])
            self._head, self._head_count = raw[: raw.rindex(last) + len(last)], count
        return count

    def _after_head(self, raw: bytes) -> list[msgspec.Raw] | None:
        """The draws after the head, or None if the file is not the head plus more draws."""
        if not self._head or not raw.startswith(self._head):
            return None
        try:
            # `null` stands for the draws of the head; the elements after it are new.
            rest: list[msgspec.Raw] = self._strict.decode(
                self._opening + raw[len(self._head) :]
            ).draws
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return rest[1:]


class DrawLines(SourceBase):
    """Counts the whole lines of a log of draws."""

    def __init__(self, workspace: Path, path: str) -> None:
        super().__init__("draws", _PERIOD_S)
        self._tail = PathTail(workspace / path)
        self._count = 0

    def read(self, values: Values) -> None:
        self._absent.clear()
        try:
            lines, is_new = self._tail.new_lines()
        except OSError as error:
            self._absent["draws"] = reason(error)
            return
        self._count = (0 if is_new else self._count) + lines.count(b"\n")
        values["draws.count"] = self._count

    def close(self) -> None:
        self._tail.close()
