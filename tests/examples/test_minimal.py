"""The Python worker: its target, its habits beside the stack, and one real run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.examples.cases import EXAMPLES, Case
from tests.examples.matrix import run, wrong
from tests.examples.plans import plan_of

FOLDER = EXAMPLES / "minimal"


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported, in a working directory with its three folders."""
    spec = importlib.util.spec_from_file_location("minimal_worker", FOLDER / "worker.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    for folder in ("inbox", "outbox", "rejected"):
        Path(folder).mkdir()
    return module


def _question(content: str) -> Path:
    file = Path("inbox", "one.json")
    file.write_text(content, encoding="utf-8")
    return file


@pytest.mark.parametrize("soak", ["soak_a", "soak_b", "soak_c"])
def test_target_resolves_with_each_soak(soak: str) -> None:
    target = plan_of("minimal", soak).target
    assert target.work.pending == "inbox/*.json"
    assert not target.says("decisions")


def test_answer_is_published_before_the_question_is_deleted(
    worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ask", lambda question: f"about {question}")
    file = _question('{"question": "queues"}')
    assert worker.handle(file)
    assert json.loads(Path("outbox/one.json").read_bytes()) == {"answer": "about queues"}
    assert not file.exists()


def test_question_without_an_answer_stays_in_the_queue(
    worker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ask", lambda question: None)
    file = _question('{"question": "queues"}')
    assert not worker.handle(file)
    assert file.exists() and not list(Path("outbox").iterdir())


@pytest.mark.parametrize("content", ["half a li", "[]", "{}", '{"question": 1}'])
def test_file_without_a_question_is_rejected(worker: ModuleType, content: str) -> None:
    file = _question(content)
    assert worker.handle(file)
    assert Path("rejected/one.json").read_text(encoding="utf-8") == content
    assert not file.exists()


def test_what_is_no_plain_file_is_rejected(worker: ModuleType) -> None:
    Path("inbox", "folder.json").mkdir()
    Path("inbox", "link.json").symlink_to("nowhere")
    assert all([worker.handle(file) for file in list(Path("inbox").iterdir())])
    assert {path.name for path in Path("rejected").iterdir()} == {"folder.json", "link.json"}


@pytest.mark.stack
@pytest.mark.slow(seconds=40)
def test_control_of_soak_b_passes(tmp_path: Path) -> None:
    case = Case("minimal", "soak_b", "none")
    done = run(case, tmp_path)
    assert not wrong(case, done), done.text
