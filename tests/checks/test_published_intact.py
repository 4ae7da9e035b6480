"""Published intact: what a rename published is there at the end, with that content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.checks.history_builder import PlantedRun
from tests.checks.witness_builder import WATCHER, Witnessed

CONTENT = b'{"answer": 7}'


@pytest.fixture
def published(tmp_path: Path) -> Witnessed:
    made = Witnessed(PlantedRun(tmp_path / "run"))
    made.lines = [line for line in made.lines if line["call"] == "process"]
    digest = hashlib.sha256(CONTENT).hexdigest()
    facts = {"path": "out/.a.tmp", "to": "out/a.json", "sha256": digest, "bytes": len(CONTENT)}
    made.add(20.0, "rename", WATCHER, **facts)
    made.run.config["criteria"] = {"published_intact": {}}
    return made


def test_a_file_as_it_was_published_passes(published: Witnessed) -> None:
    published.run.files["artefacts/out/a.json"] = CONTENT
    found = published.judged("published_intact")
    assert found.outcome == "pass" and "1 published file" in found.summary


@pytest.mark.parametrize("content", [b"", CONTENT[:5], None])
def test_a_file_that_lost_its_content_fails(published: Witnessed, content: bytes | None) -> None:
    if content is not None:
        published.run.files["artefacts/out/a.json"] = content
    found = published.judged("published_intact")
    assert found.outcome == "fail" and "out/a.json" in found.evidence[0].text


@pytest.mark.parametrize(
    ("bytes_then", "change", "bytes_now", "outcome"),
    [
        (14, {"injected": "ENOSPC"}, 0, "fail"),
        (14, {"injected": "EIO"}, 14, "pass"),  # written anew
        (0, {"injected": "EIO"}, 0, "pass"),  # it was empty before
        (14, {"delayed_ms": 3.0}, 0, "pass"),  # nothing failed
    ],
)
def test_what_had_content_when_its_fsync_failed_is_not_published_empty(
    published: Witnessed, bytes_then: int, change: dict[str, str], bytes_now: int, outcome: str
) -> None:
    content = CONTENT[:bytes_now].ljust(bytes_now)
    published.run.files |= {"artefacts/out/a.json": CONTENT, "artefacts/out/b.json": content}
    part = {"path": "out/.b.tmp"}
    published.add(21.0, "fsync", WATCHER, **part, bytes=bytes_then, rule="f001", **change)
    digest = hashlib.sha256(content).hexdigest()
    facts = {**part, "to": "out/b.json", "sha256": digest, "bytes": bytes_now}
    published.add(22.0, "rename", WATCHER, **facts)
    found = published.judged("published_intact")
    assert found.outcome == outcome
    if outcome == "fail":
        assert "out/b.json was published empty" in found.evidence[0].text


def test_what_python_keeps_for_itself_is_not_judged(published: Witnessed) -> None:
    published.run.files["artefacts/out/a.json"] = CONTENT
    facts = {"path": "a/__pycache__/x.1", "to": "a/__pycache__/x.pyc", "sha256": "0", "bytes": 1}
    published.add(22.0, "rename", WATCHER, **facts)
    assert published.judged("published_intact").outcome == "pass"


@pytest.mark.parametrize(
    ("call", "facts"),
    [
        ("open", {"path": "out/a.json"}),
        ("unlink", {"path": "out/a.json"}),
        ("rename", {"path": "out/a.json", "to": "/elsewhere/a.json"}),
        ("rename", {"path": "out", "to": "/elsewhere"}),
    ],
)
def test_what_the_daemon_changed_itself_is_its_own_affair(
    published: Witnessed, call: str, facts: dict[str, str]
) -> None:
    published.add(21.0, call, WATCHER, **facts)
    assert published.judged("published_intact").outcome == "pass"
