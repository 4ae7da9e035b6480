"""The Watcher's files as collected in a run directory, read through the target's selectors.

Tolerant by design: what is missing, torn or not JSON becomes a stated problem for the checks to
judge, never an exception. Knows nothing of the run's history except where its clock began.
"""

from __future__ import annotations

import fnmatch
import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.checks.clock import ClockJump
from chaos.checks.decision import Call, Decision, DecisionReader, parsed_time, text_hash
from chaos.checks.finding import EVIDENCE_MAX, Evidence
from chaos.checks.small_files import scanned
from chaos.record.target import Target

if TYPE_CHECKING:  # numpy is not needed to check the names of criteria
    from chaos.checks.candidate_table import CandidateTable
    from chaos.checks.decision_table import DecisionTable
    from chaos.checks.diagnosed import Diagnosed
    from chaos.checks.hash_sets import Hashes
    from chaos.checks.llm_events import LLMEvents

__all__ = ["Call", "Decision", "Draw", "WatcherFiles", "parsed_time", "stream_lines"]

LINE_BYTES_MAX = 1 << 20
_CHUNK = 4096


class Draw(msgspec.Struct, frozen=True, gc=False):
    """One draw of the history file; `value` None when it is not a number."""

    value: int | None
    bootstrap: bool


class WatcherFiles:
    """Everything below `artefacts/` that checks read. Each file is read at most once."""

    def __init__(
        self,
        root: Path,
        target: Target,
        wall_epoch_s: float,
        jumps: Sequence[ClockJump] = (),
    ) -> None:
        """`jumps`: when, and how far, the Watcher's clock was off on purpose."""
        self._root = root
        self._jumps = jumps
        self._target = target
        self._epoch_s = wall_epoch_s
        self._hashes: dict[str, Hashes] = {}

    def ref(self, path: str, line: int | None = None) -> str:
        """Reference to a collected file for an evidence."""
        return f"artefacts/{path}" + (f":{line}" if line else "")

    @cached_property
    def collected(self) -> bool:
        """Whether anything was collected at all."""
        return self._root.is_dir() and any(self._root.iterdir())

    def names(self, pattern: str) -> list[str]:
        """Names of the files that match a workspace glob, sorted; hidden ones are left out."""
        return sorted(self._scanned(pattern))

    def _scanned(self, pattern: str) -> Iterator[str]:
        """The same, unsorted, one at a time."""
        return (name for _, name in scanned(self._root, pattern))

    def count(self, pattern: str, among: str = "*") -> int:
        """How many of them there are, of those whose name matches `among` too."""
        if among == "*":
            return len(self.hashes(pattern))
        return sum(fnmatch.fnmatchcase(name, among) for name in self._scanned(pattern))

    def hashes(self, pattern: str) -> Hashes:
        """`text_hash` of each of those names."""
        if pattern not in self._hashes:
            self._hashes[pattern] = self.hashes_of(self._scanned(pattern))
        return self._hashes[pattern]

    @staticmethod
    def hashes_of(names: Iterable[str]) -> Hashes:
        """`text_hash` of each name."""
        import numpy as np

        return np.frombuffer(array("q", map(text_hash, names)), dtype=np.int64)

    def names_by_hash(self, pattern: str, hashes: Hashes, most: int = EVIDENCE_MAX) -> list[str]:
        """The names to `hashes`, sorted, `most` at most."""
        return heapq.nsmallest(most, _hashed_in(self._scanned(pattern), hashes))

    def paths_by_hash(self, pattern: str, hashes: Hashes, most: int = EVIDENCE_MAX) -> list[str]:
        """The same for paths in the workspace."""
        paths = (folder + name for folder, name in scanned(self._root, pattern))
        return heapq.nsmallest(most, _hashed_in(paths, hashes))

    def paths(self, pattern: str) -> list[str]:
        """The same as paths relative to the workspace."""
        paths = (p for p in self._root.glob(pattern) if p.is_file())
        return sorted(str(p.relative_to(self._root)) for p in paths)

    def json(self, path: str) -> tuple[Any, str]:
        """(content, "") or (None, what is wrong with it)."""
        try:
            return msgspec.json.decode((self._root / path).read_bytes()), ""
        except FileNotFoundError:
            return None, "is missing"
        except OSError as error:
            return None, f"cannot be read: {error.strerror}"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return None, f"is not JSON: {error}"

    # -- queue --------------------------------------------------------------------------------

    @cached_property
    def pending(self) -> list[str]:
        """Requests that nobody took."""
        return self.names(self._target.queue.pending)

    @cached_property
    def claimed(self) -> list[str]:
        """Requests taken and not finished."""
        return self.names(self._target.queue.claimed)

    @cached_property
    def archived(self) -> list[str]:
        """Requests finished."""
        return self.names(self._target.queue.archived)

    @cached_property
    def quarantined(self) -> list[str]:
        """Requests set aside; the notes that say why are left out."""
        names = set(self.names(self._target.queue.quarantined))
        return sorted(n for n in names if n.removesuffix(".reason.json") not in names - {n})

    # -- decisions ----------------------------------------------------------------------------

    @cached_property
    def decisions(self) -> DecisionTable:
        """The decision log in its order."""
        from chaos.checks.decision_table import DecisionTable

        log = self._target.decisions
        return DecisionTable(self._root / log.path, log, self._epoch_s, self._jumps)

    @property
    def decisions_damaged(self) -> list[Evidence]:
        """The first lines in the middle of the log that are not decisions."""
        path = self._target.decisions.path
        found = self.decisions.damaged
        return [Evidence(self.ref(path, number), "not a JSON object") for number in found]

    @property
    def decisions_torn(self) -> bool:
        """Whether the log ends in half a line."""
        return self.decisions.torn

    # -- the rest -----------------------------------------------------------------------------

    @cached_property
    def llm_events(self) -> LLMEvents | None:
        """The supervisor's record, or None when there is no such file."""
        from chaos.checks.llm_events import LLMEvents

        path = self._root / self._target.llm.events
        return LLMEvents(path, self._epoch_s) if path.is_file() else None

    @cached_property
    def draws(self) -> tuple[list[Draw], str]:
        """(all draws, "") or ([], what is wrong with the draw history)."""
        of = self._target.draws
        content, problem = self.json(of.path)
        if problem:
            return [], problem
        entries = content.get(of.list) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            return [], f"has no list {of.list!r}"
        return [_draw(entry, of.value, of.source, of.bootstrap_source) for entry in entries], ""

    @cached_property
    def diagnosed(self) -> Diagnosed:
        """What the diagnostics say that they emitted."""
        from chaos.checks.diagnosed import Diagnosed

        of = self._target.paths
        return Diagnosed(
            self._root,
            of.diagnostics,
            requests=of.diagnostics_requests,
            timestamp=of.diagnostics_timestamp,
            draw=of.diagnostics_draw,
            run_time_s=DecisionReader(self._target.decisions, self._epoch_s).run_time_s,
            jumps=self._jumps,
        )

    def forget_candidates(self) -> None:
        """Free their memory; whoever asks again has them read again."""
        self.__dict__.pop("candidates", None)

    @cached_property
    def candidates(self) -> CandidateTable:
        """The policy candidates."""
        from chaos.checks.candidate_table import CandidateTable

        of = self._target.paths
        return CandidateTable(self._root, of.policy_candidates, of.policy_candidate_id)

    def log_paths(self) -> list[str]:
        """The Watcher's own log files."""
        return sorted({p for glob in self._target.paths.logs for p in self.paths(glob)})


def _hashed_in(texts: Iterator[str], hashes: Hashes) -> Iterator[str]:
    """Those of `texts` whose `text_hash` is in `hashes`; both may be a million."""
    import numpy as np

    ordered = np.sort(hashes)
    while len(ordered) and (some := list(islice(texts, _CHUNK))):
        named = np.fromiter(map(text_hash, some), np.int64, len(some))
        place = np.minimum(np.searchsorted(ordered, named), len(ordered) - 1)
        found = (ordered[place] == named).tolist()
        yield from (text for text, there in zip(some, found, strict=True) if there)


def stream_lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """(line number from 1, line without its newline, whether it had one); a missing file is
    empty, and of an overlong line only the first `LINE_BYTES_MAX` bytes are seen.
    """
    try:
        stream = path.open("rb")
    except OSError:
        return
    with stream:
        number, inside = 0, False
        while chunk := stream.readline(LINE_BYTES_MAX):
            whole = chunk.endswith(b"\n")
            if not inside:
                number += 1
                yield number, chunk.rstrip(b"\r\n"), whole or len(chunk) == LINE_BYTES_MAX
            inside = not whole


def _draw(entry: Any, value: str, source: str, bootstrap: str) -> Draw:
    if not isinstance(entry, dict):
        return Draw(None, False)
    number = entry.get(value)
    return Draw(number if isinstance(number, int) else None, entry.get(source) == bootstrap)
