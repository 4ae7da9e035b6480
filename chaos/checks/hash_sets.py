"""Sets of `text_hash`es, as arrays: a million of them in the memory of one copy. Knows no check."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

_BLOCK = 1 << 16


def among(values: Hashes, others: Hashes) -> Mask:
    """For each of `values` whether it is one of `others`, in the memory of one copy of `others`."""
    found: Mask = np.zeros(len(values), dtype=np.bool_)
    if len(others):
        ordered = np.sort(others)
        for first in range(0, len(values), _BLOCK):
            some = values[first : first + _BLOCK]
            place = np.minimum(np.searchsorted(ordered, some), len(ordered) - 1)
            found[first : first + _BLOCK] = ordered[place] == some
    return found


def distinct(values: Hashes) -> int:
    """How many different ones there are, in the memory of one copy: `np.unique` takes several."""
    ordered = np.sort(values)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0


def twice(values: Hashes) -> Hashes:
    """What comes more than once in `values`, each of it once, in order of size."""
    ordered = np.sort(values)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def repeats(hashes: Hashes, used: Mask) -> list[tuple[int, int]]:
    """(index, index of the first) of everything in `used` whose hash came before, in order."""
    doubled = twice(hashes[used])
    doubled = doubled[doubled != 0]
    firsts: dict[int, int] = {}
    found = []
    for index in np.flatnonzero(used & among(hashes, doubled)).tolist():
        first = firsts.setdefault(int(hashes[index]), index)
        if first != index:
            found.append((index, first))
    return found
