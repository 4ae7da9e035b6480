"""The policy candidates that were collected, as columns: each file is read once.

Paths, identities and digests are kept as hashes, 24 bytes a candidate. Knows no check.
"""

from __future__ import annotations

from array import array
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from chaos.checks.decision import text_hash, text_of
from chaos.checks.hash_sets import Hashes, Indices
from chaos.checks.small_files import reader, scanned


class CandidateTable:
    """Ordered by `path`, the `text_hash` of each path in the workspace. `identity`: that of its own
    name in `id_field` (0: it has none, or the file is no JSON object); `digest`: that of its
    SHA-256 in hexadecimal digits (0: it could not be read).
    """

    def __init__(self, root: Path, pattern: str, id_field: str) -> None:
        paths, identities, digests = array("q"), array("q"), array("q")
        entry = msgspec.defstruct(
            "_Candidate", [("identity", object, msgspec.field(name=id_field, default=None))]
        )
        decode = msgspec.json.Decoder(entry).decode
        with reader(root, pattern) as content_of:
            for folder, name in scanned(root, pattern):
                identity, digest = "", ""
                try:
                    content = content_of(folder, name)
                    digest = sha256(content).hexdigest()
                    identity = text_of(decode(content).identity)  # type: ignore[attr-defined]
                except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    pass  # without an identity: the checks say what is wrong with it
                paths.append(text_hash(folder + name))
                identities.append(text_hash(identity))
                digests.append(text_hash(digest))
        order = np.argsort(np.frombuffer(paths, dtype=np.int64))
        # One after the other, so that each unordered column is freed before the next is made.
        self.path = _in_order(paths, order)
        self.identity = _in_order(identities, order)
        self.digest = _in_order(digests, order)

    def __len__(self) -> int:
        return len(self.path)


def _in_order(values: array[int], order: Indices) -> Hashes:
    """`values` in that order; empties `values`."""
    ordered: Hashes = np.frombuffer(values, dtype=np.int64)[order]
    del values[:]
    return ordered
