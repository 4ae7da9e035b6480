"""Folders of small runs: the files that a list reads, and no record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chaos.record.owner import claim
from chaos.record.rundir import RunDir

FAILED = {
    "check": "fifo",
    "title": "First in, first out",
    "outcome": "fail",
    "summary": "2 of 9 requests overtook another",
    "owner": "product",
    "origin": "the plan",
}
PASSED = {**FAILED, "check": "halt", "title": "Halt", "outcome": "pass", "summary": "0.4 s"}


def verdict(word: str = "pass", *, soak: str = "soak_c", fault: str = "", **more: Any) -> Any:
    """The content of a `verdict.json`."""
    window = {"injected_s": 40.0, "proven_s": 41.0, "recovering_s": 54.0, "recovered_s": 54.5}
    proof = {"state": "closed", "effect": {}, "recovery": {}, "ref": "history.jsonl:9"}
    return {
        "verdict": word,
        "exit_code": 0 if word == "pass" else 1,
        "reason": "all findings pass" if word == "pass" else "failed: First in, first out",
        "run_id": "a run",
        "soak": soak,
        "title": "A soak",
        "profile": "quick",
        "seed": 7,
        "schedule_hash": "0123456789abcdef",
        "stopped": "complete",
        "lasted_s": 61.5,
        "findings": [PASSED] if word == "pass" else [PASSED, FAILED],
        "faults": [{"fault_id": "f001", "name": fault, **window, **proof}] if fault else [],
        "notes": [],
        "reproduce": "chaos run soak_c",
        **more,
    }


def add_run(root: Path, run_id: str, content: Any = None, *, config: bool = True) -> Path:
    """A run with this verdict; None: it has none."""
    folder = root / run_id
    folder.mkdir(parents=True)
    if config:
        faults = [{"name": "llm_timeout"}]
        soak = run_id.split("/")[-2]
        text = json.dumps({"soak": soak, "profile_name": "full", "seed": 3, "faults": faults})
        (folder / "config.json").write_text(text)
    if content is not None:
        (folder / "verdict.json").write_text(json.dumps(content))
    return folder


def add_gate(root: Path, name: str, runs: dict[str, str], word: str | None = "NEEDS FIXES") -> Path:
    """A gate with these runs: path below the gate -> verdict."""
    for path, verdict_word in runs.items():
        add_run(root, f"gate/{name}/{path}", verdict(verdict_word))
    steps = [
        {"name": f"step {n}", "soak": "soak_c", "control": False, "digest": "", "schedule_hash": ""}
        | {"command": "", "state": "done", "run": path, "verdict": verdict_word}
        for n, (path, verdict_word) in enumerate(runs.items())
    ]
    content = {
        "gate_id": name,
        "state": "complete",
        "request": {"profile": "quick"},
        "steps": steps,
        "verdict": word and {"verdict": word, "exit_code": 1, "reason": "failed: x", "notes": []},
    }
    folder = root / "gate" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gate.json").write_text(json.dumps(content))
    return folder


def add_sweep(root: Path, sweep_id: str, *outcomes: str, state: str = "complete") -> Path:
    """A sweep with a run for each of these outcomes."""
    folder = root / sweep_id
    runs = [f"sweep_point/20260206-00000{n}-s7-eeee" for n in range(len(outcomes))]
    for run, outcome in zip(runs, outcomes, strict=True):
        word = "fail" if outcome == "failed" else "pass"
        add_run(root, f"{sweep_id}/{run}", verdict(word, soak="sweep_point"))
    content = {
        "sweep_id": folder.name,
        "created": "2026-02-06T00:00:00Z",
        "asked": {"target": None, "kinds": ["crash"], "seed": 7},
        "points": [{"number": n + 1} for n in range(len(outcomes))],
        "results": [
            {"point": n + 1, "outcome": outcome, "run": run}
            for n, (run, outcome) in enumerate(zip(runs, outcomes, strict=True))
        ],
        "state": state,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def add_comparison(root: Path, name: str, *, word: str, state: str = "complete") -> Path:
    """A comparison with one pair, of which the candidate failed."""
    runs = [f"soak_b/20260207-00000{n}-s7-eeee" for n in range(2)]
    for run, one in zip(runs, ("pass", "fail"), strict=True):
        add_run(root, f"compare/{name}/{run}", verdict(one, soak="soak_b"))
    folder = root / "compare" / name
    (folder / "revisions" / "abc").mkdir(parents=True)  # what is compared, not a run
    (folder / "revisions" / "abc" / "config.json").write_text("{}")
    content = {
        "asked": {"base": "reference", "candidate": "mine", "soak": "soak_b", "faults": []},
        "state": state,
        "word": word,
        "pairs": [{"number": 1}],
    }
    (folder / "compare.json").write_text(json.dumps(content))
    return folder


def add_campaign(root: Path, name: str, *words: str, left: int = 0) -> Path:
    """A campaign with a run for each of these verdicts, and some that are not made yet."""
    folder = root / "campaign" / name
    for number, word in enumerate(words, start=1):
        add_run(root, f"campaign/{name}/runs/{number:05}/1", verdict(word))
    folder.mkdir(parents=True, exist_ok=True)
    entries = [{"index": number + 1} for number in range(len(words) + left)]
    (folder / "campaign.json").write_text(json.dumps({"entries": entries}))
    return folder


def make_running(folder: Path) -> None:
    """The run goes on: this process owns it."""
    claim(RunDir(folder))
