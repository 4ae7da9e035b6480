"""What checks read a million of comes in blocks and columns: the same as read one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.checks import effect_table, line_blocks, llm_lifecycle, watcher_files
from chaos.checks.decision import text_hash
from chaos.checks.effect_table import effect_blocks
from chaos.checks.finding import Finding
from chaos.checks.llm_events import LLMEvents
from chaos.checks.request_types import UNTYPED, types_of
from chaos.checks.run_view import RunView
from chaos.checks.small_files import content_of, scanned
from tests.checks.history_builder import PlantedRun, finding, judged


@pytest.fixture
def control(tmp_path: Path) -> PlantedRun:
    run = PlantedRun(tmp_path / "run", cuts=())
    run.config["criteria"] = {"routing": {}, "llm_lifecycle": {}, "policy_candidates": {}}
    return run


def test_small_files_are_found_and_read_whole(tmp_path: Path) -> None:
    for name in ("in/a.json", "in/.hidden.json", "in/b.txt", "in/sub.json/c.json", "on/d.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list(scanned(tmp_path, "in/*.json")) == [("in/", "a.json")]
    assert sorted(scanned(tmp_path, "*/*.json")) == [("in/", "a.json"), ("on/", "d.json")]
    assert list(scanned(tmp_path, "nowhere/*")) == []
    for size in (0, 1, 1 << 16, (1 << 16) + 1, 300_000):
        (tmp_path / "big").write_bytes(b"y" * size)
        assert content_of(str(tmp_path / "big")) == b"y" * size
    with pytest.raises(FileNotFoundError):
        content_of(str(tmp_path / "gone"))


def test_the_record_of_servers_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [
        '{"time_s": 10.5, "event": "start", "pid": 7}',
        '{"time_s": 10.7, "event": "ready", "pid": 7}',
        '{"time_s": "11", "event": "stop", "pid": "seven"}',
        '{"event": "gone"}',
        "[1]",
        '{"time_s": 12, "event": "crashed"}',
        '{"time_s": 13, "event": "sta',
    ]
    path.write_text("\n".join(lines))
    events = LLMEvents(path, 10.0)
    seen = [(event.line, event.t_s, event.event, event.pid) for event in events]
    assert seen == [(1, 0.5, "start", 7), (3, 1.0, "stop", None), (6, 2.0, "crashed", None)]
    path.unlink()
    assert [event.line for event in events.crashes()] == [6], "known from the pass before"


def test_crashes_are_known_without_a_pass_before(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"time_s": 12, "event": "crashed", "pid": 4}\n' * 20)
    assert [event.line for event in LLMEvents(path, 0.0).crashes()] == list(range(1, 11))


def test_effects_are_the_same_however_a_line_is_written(
    control: PlantedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that the quick decoder refuses is read in the general way, with the same result."""
    monkeypatch.setattr(effect_table, "_BLOCK", 3)
    monkeypatch.setattr(line_blocks, "_BLOCK_BYTES", 1500)
    odd = control.decisions[3]
    odd["effects"] = [1]
    control.decisions[4]["effects"] |= {"child_pid": True, "child_exit": 1}
    control.decisions[5]["effects"]["artefacts"] = {"policy_history/x.json": "00", "other": "11"}
    view = RunView(control.write())
    table = view.files.decisions
    blocks = list(effect_blocks(table, view.target.decisions, "policy_history/"))
    assert len(blocks) > 3
    lengths = [len(block.child) for block in blocks]
    assert [block.first for block in blocks] == [sum(lengths[:i]) for i in range(len(blocks))]
    child = [bool(one) for block in blocks for one in block.child]
    good = [bool(one) for block in blocks for one in block.exit_ok]
    written = [int(one) for block in blocks for one in block.of]
    for index, decision in enumerate(control.decisions):
        effects = decision["effects"] if isinstance(decision["effects"], dict) else {}
        pid = effects.get("child_pid")
        assert child[index] == (isinstance(pid, int) and pid is not True)
        assert good[index] == (effects.get("child_exit") == 0)
        paths = [p for p in effects.get("artefacts", {}) if p.startswith("policy_history/")]
        assert written.count(index) == len(paths)
    place = written.index(5)
    paths = [int(one) for block in blocks for one in block.path]
    assert paths[place] == text_hash("policy_history/x.json")


def spoiled(run: PlantedRun) -> None:
    """One of each defect, in different blocks, some decisions with two of them."""
    run.decisions[1]["effects"]["child_exit"] = 9
    selfplay = [d for d in run.decisions if d["dispatch"] == "dispatch_selfplay"]
    selfplay[3]["effects"]["artefacts"] = {}
    selfplay[-1]["effects"]["artefacts"] = dict(selfplay[-3]["effects"]["artefacts"])
    selfplay[-2]["effects"]["child_pid"] = None
    run.decisions[-1]["dispatch"] = "dispatch_nothing"
    run.llm_events = run.llm_events[:9] + run.llm_events[11:]


def told(run: PlantedRun, check: str) -> Finding:
    return finding(judged(run), check)


@pytest.mark.parametrize("check", ["routing", "llm_lifecycle"])
def test_blocks_do_not_change_what_is_found(
    check: str, control: PlantedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(control)
    whole = told(control, check)
    assert whole.outcome == "fail" and whole.evidence_count > 1
    monkeypatch.setattr(effect_table, "_BLOCK", 2)
    monkeypatch.setattr(line_blocks, "_BLOCK_BYTES", 1000)
    monkeypatch.setattr(llm_lifecycle, "_BLOCK", 2)
    monkeypatch.setattr(watcher_files, "_CHUNK", 2)
    assert told(control, check) == whole


def test_evidence_of_routing_says_what_was_seen(control: PlantedRun) -> None:
    spoiled(control)
    texts = " | ".join(item.text for item in told(control, "routing").evidence)
    expected = ["ended with 9", "no policy candidate came", "no child process was started"]
    expected += ["candidate policy_history/c_", "of an earlier request", "as dispatch_nothing"]
    for said in expected:
        assert said in texts, texts


def test_a_type_is_that_of_the_harness_then_that_of_the_archived_request(
    control: PlantedRun,
) -> None:
    name = control.folders["archive"][0]
    detail = {"type": "selfplay" if "learning" in name else "learning_loop"}
    control.records.append(
        {"kind": "op", "t_s": 5.0, "op": "submit", "id": name, "outcome": "ok", "detail": detail}
    )
    torn = control.folders["archive"][1]
    control.files[f"artefacts/watcher_requests/archive/{torn}"] = '{"request_type": "selfpl'
    view = RunView(control.write())
    names = [*control.folders["archive"], "never_seen.json", name]
    found = types_of(view, view.files.hashes_of(names)).tolist()
    expected = [int("learning" in one) for one in control.folders["archive"]]
    expected[0] = 1 - expected[0]
    expected[1] = UNTYPED
    assert found == [*expected, UNTYPED, expected[0]]


def test_candidates_that_are_doubled_or_unusable_are_named(control: PlantedRun) -> None:
    first, second, *_ = sorted(control.candidates)
    control.candidates[second] = control.candidates[first]
    control.files["artefacts/policy_history/a_torn.json"] = json.dumps({"candidate_id": "x"})[:-4]
    control.files["artefacts/policy_history/b_empty.json"] = "{}"
    found = told(control, "policy_candidates")
    texts = [item.text for item in found.evidence]
    assert found.outcome == "fail" and found.measured == len(control.candidates) - 1
    assert texts[0].startswith("is not JSON") and texts[1] == "has no candidate_id"
    assert texts[2] == f"candidate {control.candidates[first]['candidate_id']} is there twice"
    assert found.evidence[2].ref.endswith(second)
