"""Replay repeats the identical schedule or reports an error, and compares all findings.

A constant replaces the result of `ensure`, and a script that writes a verdict replaces the
guardian. tests/integration has a real replay.
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
from chaos.plan.plan import Plan, Sandbox
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
    findings = [
        Finding(outcome=outcome, summary="", check=name, title=name.title())  # type: ignore[arg-type]
        for name, outcome in (outcomes or {"errors": word}).items()
    ]
    return Verdict(
        verdict=word,
        exit_code=0 if word == "pass" else 1,
        reason="scripted",
        run_id=run_id,
        soak="soak_c",
        title="",
        profile="quick",
        seed=5,
        schedule_hash="",
        stopped="complete",
        lasted_s=1.0,
        findings=findings,
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
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Plan, Schedule, Prepared]]:
    """The runs that were started. Each writes the verdict `fail` and has exit code 1."""
    runs_started: list[tuple[Plan, Schedule, Prepared]] = []

    def prepare(plan: Plan, schedule: Schedule, runs: Path, _display: object) -> Prepared:
        run = create(runs.resolve(), plan.soak, plan.seed)
        run.write_json(run.config, plan.to_json())
        text = json.dumps(msgspec.to_builtins(verdict(run.run_id, "fail")))
        code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]); sys.exit(1)"
        argv = [sys.executable, "-c", code, str(run.verdict), text]
        prepared = Prepared(run, argv, dict(os.environ))
        runs_started.append((plan, schedule, prepared))
        return prepared

    monkeypatch.setattr("chaos.assets.ensure", lambda _progress: ASSETS)
    monkeypatch.setattr("chaos.compare.replay.prepare", prepare)
    return runs_started


def command(stored: RunDir, *words: str) -> int:
    return main(["replay", str(stored.path), "--runs", str(stored.path.parents[1]), *words])


def test_the_stored_plan_and_schedule_are_repeated_and_the_verdicts_compared(
    stored: RunDir,
    started: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(stored) == ExitCode.FAIL, "the exit code is that of the new run"
    ((plan, schedule, prepared),) = started
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


def test_json_output_is_one_object_with_the_new_verdict(
    stored: RunDir,
    started: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(stored, "--json") == ExitCode.FAIL
    content = json.loads(capsys.readouterr().out)
    assert (content["before"], content["after"]) == ("pass", "fail")
    assert content["verdict"]["run_id"] == content["run_id"]


def test_a_schedule_that_this_version_cannot_draw_is_rejected_unless_forced(
    stored: RunDir,
    started: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The schedule is valid, but this version draws another one from the plan and its seed."""
    from chaos.record.agreement import content_hash

    schedule = Schedule.from_json(stored.read_json(stored.schedule))
    moved = [msgspec.structs.replace(i, start_ms=i.start_ms + 1) for i in schedule.items]
    other = msgspec.structs.replace(schedule, items=tuple(moved))
    other = msgspec.structs.replace(other, hash=content_hash(other.to_json()))
    stored.write_json(stored.schedule, other.to_json())
    assert command(stored) == ExitCode.USAGE
    assert "cannot draw the stored schedule" in capsys.readouterr().err
    assert started == []
    assert command(stored, "--force") == ExitCode.FAIL
    assert started[0][1] == other
    origin = json.loads(started[0][2].env["CHAOS_REPLAY_OF"])
    assert origin["forced"] and schedule.hash in origin["differences"][0]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["schedule", "seed", "config"])
def test_changed_files_are_always_rejected(
    what: str, force: bool, stored: RunDir, started: list[tuple[Plan, Schedule, Prepared]]
) -> None:
    name = stored.schedule if what == "schedule" else stored.config
    content: dict[str, Any] = stored.read_json(name)
    if what == "schedule":
        content["items"][0]["start_ms"] += 1  # the hash stays as it is
    elif what == "seed":
        content["seed"] = 6
    else:
        del content["target"]
    stored.write_json(name, content)
    assert command(stored, *(["--force"] if force else [])) == ExitCode.USAGE
    assert started == []


@pytest.mark.parametrize("then", ["", "no user namespaces"])
def test_faults_that_cannot_be_had_as_they_were_are_refused_before_the_start(
    then: str,
    stored: RunDir,
    started: list[tuple[Plan, Schedule, Prepared]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the stored run `disk_pressure` was injected, or left out; now it is the other way."""
    plan = resolve(Request(soak="soak_c", faults=["llm_timeout", "disk_pressure"], seed=5))
    faults = tuple(
        msgspec.structs.replace(fault, left_out=then if fault.name == "disk_pressure" else "")
        for fault in plan.faults
    )
    sandbox: Sandbox = "namespaces" if then else "none"
    plan = msgspec.structs.replace(plan, faults=faults, sandbox=sandbox, skip_unavailable=True)
    stored.write_json(stored.config, plan.to_json())
    stored.write_json(stored.schedule, draw(plan).to_json())
    assert command(stored) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "disk_pressure" in said and ("could be injected now" if then else "cannot be") in said
    assert started == []


@pytest.mark.parametrize("name", ["model_sha256", "toxiproxy_version", "llama_build", None])
def test_other_assets_are_rejected_unless_forced(
    name: str | None,
    stored: RunDir,
    started: list[tuple[Plan, Schedule, Prepared]],
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
    assert started == []
    assert command(stored, "--force") == ExitCode.FAIL
    assert "differs from the stored run: " in capsys.readouterr().out
    origin = json.loads(started[0][2].env["CHAOS_REPLAY_OF"])
    assert origin["forced"] and len(origin["differences"]) == 1


def test_the_same_assets_at_other_paths_are_no_difference() -> None:
    recorded = {**{k: str(v) for k, v in asdict(ASSETS).items()}, "model": "/elsewhere/model.gguf"}
    assert asset_differences({"assets": recorded}, asdict(ASSETS)) == []


def test_a_comparison_has_every_finding_of_both_runs() -> None:
    before = verdict("a", errors="pass", halt="pass", gone="pass")
    after = verdict("b", errors="pass", halt="inconclusive", new="pass")
    rows = comparison(before, after).rows
    assert [(r.title, r.before, r.after, r.same) for r in rows] == [
        ("Errors", "pass", "pass", True),
        ("Halt", "pass", "inconclusive", False),
        ("Gone", "pass", "", False),
        ("New", "", "pass", False),
    ]


def test_verdicts_can_agree_although_a_finding_changed() -> None:
    compared = comparison(verdict("a", errors="pass", x="skipped"), verdict("b", errors="pass"))
    assert compared.agree
    assert "verdicts agree: pass; 1 of 2 findings changed" in comparison_text(compared)


def test_each_different_setting_of_the_containers_is_reported() -> None:
    """Another context length is another system."""
    then = {"containers": {"knobs": {"CHAOS_LLM_CONTEXT": "4096", "CHAOS_LLM_SLOTS": "2"}}}
    assert knob_differences(then, {"CHAOS_LLM_CONTEXT": "4096", "CHAOS_LLM_SLOTS": "2"}) == []
    assert knob_differences(then, {"CHAOS_LLM_CONTEXT": "512", "CHAOS_TMP_SIZE": "1g"}) == [
        "setting CHAOS_LLM_CONTEXT: then 4096, now 512",
        "setting CHAOS_LLM_SLOTS: then 2, now not set",
        "setting CHAOS_TMP_SIZE: then not set, now 1g",
    ]
    assert knob_differences({}, {}) == []
