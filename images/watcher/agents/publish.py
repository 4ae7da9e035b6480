"""Publishes a staging folder: writes the commit marker, then carries it out.

    staging complete -> commit.json (synced): the point of no return
    -> artefacts renamed into place -> decision line -> archive -> staging removed

Every step after the marker is idempotent, so after a crash all of them are repeated. Knows nothing
of how the work was done or decided.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loguru import logger

from agents import files
from agents.decision_log import DecisionLog
from agents.request_queue import RequestQueue

WORK_FOLDER = "work"
COMMIT_NAME = "commit.json"
RESULT_NAME = "result.json"
ARTEFACT_FILES = frozenset(
    {
        "optimal_window_config.json",
        "bidirectional_survivors.json",
        "optimal_scorer_config.json",
        "survivors_with_scores.json",
        "prediction_pool.json",
        "ml_plan.json",
        "learned_policy_candidate.json",
    }
)
ARTEFACT_FOLDERS = frozenset({"models", "policy_history", "telemetry"})
CHAMPION = "models/champion.json"
LEARNED_POLICY = "learned_policy_candidate.json"
MODELS_KEPT = 50


def staging_of(root: Path, request_name: str) -> Path:
    """The staging folder of a request."""
    return root / WORK_FOLDER / request_name.removesuffix(".json")


def artefacts(staging: Path) -> Iterator[str]:
    """Relative names of the files that may be published, sorted."""
    for path in sorted(staging.rglob("*")):
        name = path.relative_to(staging).as_posix()
        if path.is_symlink() or not path.is_file() or path.name.startswith("."):
            continue
        if name in ARTEFACT_FILES or name.partition("/")[0] in ARTEFACT_FOLDERS:
            yield name
        elif name not in (COMMIT_NAME, RESULT_NAME):
            logger.warning("staging holds {!a}, which is no artefact; not published", name)


def promote(staging: Path, kind: str, result: dict[str, Any]) -> str | None:
    """Stages the new policy candidate or model as the one in use.

    Returns the name under which it is staged, or None if there is no candidate or model.
    """
    if kind == "selfplay":
        source, target = _candidate(staging, result), LEARNED_POLICY
    else:
        models = sorted(staging.glob("models/model_*.json"), key=_model_number)
        source, target = (models[-1] if models else None), CHAMPION
    if source is None:
        return None
    shutil.copyfile(source, staging / target)
    return target


def _candidate(staging: Path, result: dict[str, Any]) -> Path | None:
    named = str(result.get("candidate", ""))
    if named.startswith("policy_history/") and named in artefacts(staging):
        return staging / named
    candidates = sorted(staging.glob("policy_history/*.json"))
    return candidates[0] if len(candidates) == 1 else None


def _model_number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1


def commit(staging: Path, record: dict[str, Any], *, publish: bool) -> None:
    """Syncs the artefacts and their names, then writes the commit marker. Raises OSError.

    Adds the artefacts' SHA-256 to `record`. `publish` False: no artefact is published.
    """
    names = list(artefacts(staging)) if publish else []
    digests = {}
    for name in names:
        files.sync_file(staging / name)
        digests[name] = files.sha256_of(staging / name)
    for folder in sorted({(staging / name).parent for name in names}):
        files.sync_dir(folder)  # the child's renames, which a power cut would undo
    record["effects"]["artefacts"] = digests
    files.write_json(staging / COMMIT_NAME, {"decision": record, "publish": names})


def read_commit(staging: Path) -> dict[str, Any] | None:
    """The commit marker {decision, publish}, or None if there is none."""
    marker = files.read_object(staging / COMMIT_NAME)
    return marker if marker and "decision" in marker and "publish" in marker else None


def publish_files(staging: Path, root: Path, names: list[str]) -> None:
    """Moves the artefacts into place. Idempotent. Raises OSError."""
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (staging / name).replace(target)
        files.sync_dir(target.parent)


class Finisher:
    """Finishes committed requests. Methods are idempotent, and raise OSError."""

    def __init__(self, root: Path, queue: RequestQueue, log: DecisionLog) -> None:
        self._root = root
        self._queue = queue
        self._log = log

    def finish(self, request_name: str) -> dict[str, Any]:
        """Publishes, records and archives a committed request. Returns its decision.

        Raises FileNotFoundError without a commit marker.
        """
        staging = staging_of(self._root, request_name)
        marker = read_commit(staging)
        if marker is None:
            raise FileNotFoundError(2, os.strerror(2), str(staging / COMMIT_NAME))
        decision: dict[str, Any] = marker["decision"]
        publish_files(staging, self._root, marker["publish"])
        self._log.append(decision)
        self._queue.finish(request_name)
        files.remove_tree(staging)
        self._prune_models()
        return decision

    def record_quarantine(self, note: dict[str, Any]) -> None:
        """Appends the decision line of a quarantined file, exactly once."""
        if "decision" not in note:
            note["decision"] = self._quarantine_decision(note)
            self._queue.note_quarantine(note)  # after a crash the same id is used again
        self._log.append(note["decision"])
        self._queue.note_quarantine({**note, "recorded": True})

    def _quarantine_decision(self, note: dict[str, Any]) -> dict[str, Any]:
        number = self._log.next_number()
        return {
            "decision_id": f"d{number:06d}",
            "sequence_number": number,
            "source": "quarantine",
            "request_file": note["request_file"],
            "request_type": None,
            "dispatch": None,
            "status": "QUARANTINED",
            "started_at": note["quarantined_at"],
            "timestamp": files.utc_now(),
            "reason": note["reason"],
            "llm_calls": [],
        }

    def _prune_models(self) -> None:
        models = sorted((self._root / "models").glob("model_*.json"), key=_model_number)
        for path in models[:-MODELS_KEPT]:
            path.unlink(missing_ok=True)
