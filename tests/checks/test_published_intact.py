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
