"""The type of each request, from who can know: the harness that submitted it, else the request
itself as it was archived. Knows no check.
"""

from __future__ import annotations

from itertools import islice
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from chaos.checks.decision import text_hash
from chaos.checks.hash_sets import Hashes, Indices, Mask
from chaos.checks.run_view import RunView
from chaos.checks.small_files import reader, scanned

Kind = Literal["selfplay", "learning"]
KINDS: tuple[Kind, ...] = ("selfplay", "learning")
UNTYPED = -1
_SUBMITTED = {"selfplay": 0, "learning_loop": 1}
_CHUNK = 4096


def types_of(view: RunView, requests: Hashes) -> npt.NDArray[np.int8]:
    """For each of `requests` (`text_hash` of its file's name) its place in `KINDS`, or `UNTYPED`.

    The harness is believed for its own requests; of the others, the archived file is read.
    """
    submitted = {
        text_hash(op.id): _SUBMITTED[str(op.detail.get("type"))]
        for _, op in view.ops
        if op.op == "submit" and op.detail.get("type") in _SUBMITTED
    }
    ordered = np.sort(requests)
    codes = _archived(view, ordered)
    hashes = np.fromiter(submitted, np.int64, len(submitted))
    kinds = np.fromiter(submitted.values(), np.int8, len(submitted))
    place, there = _places(ordered, hashes)
    codes[place[there]] = kinds[there]
    # One name may be there several times; the first place in order stands for all of them.
    return codes[np.searchsorted(ordered, requests)]


def _places(ordered: Hashes, hashes: Hashes) -> tuple[Indices, Mask]:
    """(first place of each of `hashes` in `ordered`, whether it is there)."""
    if not len(ordered):
        return np.zeros(len(hashes), np.intp), np.zeros(len(hashes), np.bool_)
    place = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    return place, ordered[place] == hashes


def _archived(view: RunView, ordered: Hashes) -> npt.NDArray[np.int8]:
    """The kind of each request that is in the archive, at its place in `ordered`."""
    queue, root = view.target.queue, view.run.artefacts
    kinds = dict.fromkeys(queue.types_learning, 1) | dict.fromkeys(queue.types_selfplay, 0)
    entry = msgspec.defstruct(
        "_Request", [("kind", object, msgspec.field(name=queue.type_field, default=None))]
    )
    decode = msgspec.json.Decoder(entry).decode
    codes = np.full(len(ordered), UNTYPED, dtype=np.int8)
    found = scanned(root, queue.archived)
    with reader(root, queue.archived) as content_of:
        while some := list(islice(found, _CHUNK)):
            hashes = np.fromiter((text_hash(name) for _, name in some), np.int64, len(some))
            place, there = _places(ordered, hashes)
            for index in np.flatnonzero(there).tolist():
                try:
                    kind = decode(content_of(*some[index])).kind  # type: ignore[attr-defined]
                except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    continue
                known = kinds.get(kind, UNTYPED) if isinstance(kind, str) else UNTYPED
                codes[place[index]] = known
    return codes
