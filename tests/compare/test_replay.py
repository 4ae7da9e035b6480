"""Replay: the identical schedule or a refusal, and a comparison that hides nothing.

The parts that a run needs are named, not used: `ensure` is replaced by what it would return, and
the guardian by a script that leaves a verdict. A real replay is in tests/integration.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.assets import Assets
from chaos.base.exitcode import ExitCode
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict, Word
from chaos.cli.main import main
from chaos.compare.replay import asset_differences, comparison, comparison_text, knob_differences
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, draw
from chaos.record.rundir import RunDir, create
from chaos.runner.launch import Prepared
from chaos.runner.resolve import Request, resolve

ASSETS = Assets(
    model=Path("/m/model.gguf"),
    model_sha256="aa",
    model_name="model",
    toxiproxy=Path("/t/toxiproxy-server"),
    toxiproxy_version="2.12.0",
    llama_build="xllamacpp 1",
)


def verdict(run_id: str, word: Word = "pass", **outcomes: str) -> Verdict:
    found = [
        Finding(outcome=outcome, summary="", check=name, title=name.title())  # type: ignore[arg-type]
        for name, outcome in (outcomes or {"errors": word}).items()
    ]
    return Verdict(
        verdict=word,
        exit_code=0 if word == "pass" else 1,
        reason="told so",
        run_id=run_id,
        soak="soak_c",
        title="",
        profile="quick",
        seed=5,
        schedule_hash="",
        stopped="complete",
        lasted_s=1.0,
        findings=found,
        faults=[],
        notes=[],
        reproduce="",
    )


@pytest.fixture
def stored(tmp_path: Path) -> RunDir:
    """A stored run that passed."""
    plan = resolve(Request(soak="soak_c", faults=["llm_timeout"], seed=5))
    run = create(tmp_path / "runs", "soak_c", 5)
    run.write_json(run.config, plan.to_json())
    run.write_json(run.schedule, draw(plan).to_json())
    recorded = {name: str(value) for name, value in asdict(ASSETS).items()}
    run.write_json(run.provenance, {"assets": recorded})
    run.write_json(run.verdict, msgspec.to_builtins(verdict(run.run_id)))
    return run


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Schedule, Prepared]]:
    """What was started; each new run leaves the verdict `fail` with exit code 1."""
    started: list[tuple[Plan, Schedule, Prepared]] = []

    def prepare(plan: Plan, schedule: Schedule, runs: Path, _display: object) -> Prepared:
        run = create(runs.resolve(), plan.soak, plan.seed)
        run.write_json(run.config, plan.to_json())
        text = json.dumps(msgspec.to_builtins(verdict(run.run_id, "fail")))
        code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]); sys.exit(1)"
        argv = [sys.executable, "-c", code, str(run.verdict), text]
        prepared = Prepared(run, argv, dict(os.environ))
        started.append((plan, schedule, prepared))
        return prepared

    monkeypatch.setattr("chaos.assets.ensure", lambda _progress: ASSETS)
    monkeypatch.setattr("chaos.compare.replay.prepare", prepare)
    return started


def command(stored: RunDir, *words: str) -> int:
    return main(["replay", str(stored.path), "--runs", str(stored.path.parents[1]), *words])


def test_the_stored_plan_and_schedule_run_again_and_the_verdicts_are_compared(
    stored: RunDir,
    again: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(stored) == ExitCode.FAIL, "the exit code is that of the new run"
    ((plan, schedule, prepared),) = again
    assert plan == Plan.from_json(stored.read_json(stored.config))
    assert schedule == Schedule.from_json(stored.read_json(stored.schedule))
    origin = json.loads(prepared.env["CHAOS_REPLAY_OF"])
    assert origin["run_id"] == stored.run_id
    assert (origin["forced"], origin["differences"]) == (False, [])
    out = capsys.readouterr().out
    assert re.search(r"^CHANGED +pass +fail +Errors$", out, re.MULTILINE)
    assert "verdicts differ: pass, now fail; 1 of 1 findings changed" in out
    content = json.loads((prepared.run.path / "replay.json").read_text())
    assert (content["agree"], content["replay_of"]) == (False, stored.run_id)


def test_json_is_one_object_with_the_new_verdict(
    stored: RunDir,
    again: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(stored, "--json") == ExitCode.FAIL
    content = json.loads(capsys.readouterr().out)
    assert (content["before"], content["after"]) == ("pass", "fail")
    assert content["verdict"]["run_id"] == content["run_id"]


def test_a_schedule_that_this_version_cannot_draw_is_refused_unless_forced(
    stored: RunDir,
    again: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The schedule of another draw: whole in itself, and not what the plan's seed gives here."""
    from chaos.record.agreement import content_hash

    schedule = Schedule.from_json(stored.read_json(stored.schedule))
    moved = [msgspec.structs.replace(i, start_ms=i.start_ms + 1) for i in schedule.items]
    other = msgspec.structs.replace(schedule, items=tuple(moved))
    other = msgspec.structs.replace(other, hash=content_hash(other.to_json()))
    stored.write_json(stored.schedule, other.to_json())
    assert command(stored) == ExitCode.USAGE
    assert "cannot draw the stored schedule" in capsys.readouterr().err
    assert again == []
    assert command(stored, "--force") == ExitCode.FAIL
    assert again[0][1] == other
    origin = json.loads(again[0][2].env["CHAOS_REPLAY_OF"])
    assert origin["forced"] and schedule.hash in origin["differences"][0]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["schedule", "seed", "config"])
def test_changed_files_are_refused_always(
    what: str, force: bool, stored: RunDir, again: list[tuple[Plan, Schedule, Prepared]]
) -> None:
    name = stored.schedule if what == "schedule" else stored.config
    content: dict[str, Any] = stored.read_json(name)
    if what == "schedule":
        content["items"][0]["start_ms"] += 1  # and the hash left as it is
    elif what == "seed":
        content["seed"] = 6
    else:
        del content["target"]
    stored.write_json(name, content)
    assert command(stored, *(["--force"] if force else [])) == ExitCode.USAGE
    assert again == []


@pytest.mark.parametrize("name", ["model_sha256", "toxiproxy_version", "llama_build", None])
def test_other_parts_are_refused_unless_forced(
    name: str | None,
    stored: RunDir,
    again: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name is None:
        stored.provenance.unlink()
    else:
        content = stored.read_json(stored.provenance)
        content["assets"][name] = "another"
        stored.write_json(stored.provenance, content)
    assert command(stored) == ExitCode.INVALID
    assert (name or "did not record its parts") in capsys.readouterr().err
    assert again == []
    assert command(stored, "--force") == ExitCode.FAIL
    assert "differs from the stored run: " in capsys.readouterr().out
    origin = json.loads(again[0][2].env["CHAOS_REPLAY_OF"])
    assert origin["forced"] and len(origin["differences"]) == 1


def test_the_same_parts_at_other_places_are_the_same() -> None:
    recorded = {**{k: str(v) for k, v in asdict(ASSETS).items()}, "model": "/elsewhere/model.gguf"}
    assert asset_differences({"assets": recorded}, asdict(ASSETS)) == []


def test_a_comparison_names_every_finding_of_either_run() -> None:
    before = verdict("a", errors="pass", halt="pass", gone="pass")
    after = verdict("b", errors="pass", halt="inconclusive", new="pass")
    rows = comparison(before, after).rows
    assert [(r.title, r.before, r.after, r.same) for r in rows] == [
        ("Errors", "pass", "pass", True),
        ("Halt", "pass", "inconclusive", False),
        ("Gone", "pass", "", False),
        ("New", "", "pass", False),
    ]


def test_verdicts_agree_even_where_a_finding_changed() -> None:
    compared = comparison(verdict("a", errors="pass", x="skipped"), verdict("b", errors="pass"))
    assert compared.agree
    assert "verdicts agree: pass; 1 of 2 findings changed" in comparison_text(compared)


def test_settings_of_the_containers_that_differ_are_told() -> None:
    """Another context length is another system."""
    then = {"containers": {"knobs": {"CHAOS_LLM_CONTEXT": "4096", "CHAOS_LLM_SLOTS": "2"}}}
    assert knob_differences(then, {"CHAOS_LLM_CONTEXT": "4096", "CHAOS_LLM_SLOTS": "2"}) == []
    assert knob_differences(then, {"CHAOS_LLM_CONTEXT": "512", "CHAOS_TMP_SIZE": "1g"}) == [
        "setting CHAOS_LLM_CONTEXT: then 4096, now 512",
        "setting CHAOS_LLM_SLOTS: then 2, now not set",
        "setting CHAOS_TMP_SIZE: then not set, now 1g",
    ]
    assert knob_differences({}, {}) == []
