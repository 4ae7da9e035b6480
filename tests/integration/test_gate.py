"""A gate of real runs and a crash sweep: killed, resumed, judged; and a real run replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from chaos.cli.main import main
from chaos.gate.state import GateDir, find_gate
from chaos.record.owner import processes_of
from chaos.record.rundir import RunDir
from tests.integration.command import REPO, await_gone, chaos, finish, start
from tests.waiting import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.whole_run, pytest.mark.slow(seconds=70)]

APPEAR_LIMIT_S = 180.0
# What half a minute of soak C can show; the growth of anything cannot be seen in it.
CRITERIA = ("heuristic_fallbacks", "errors", "request_queue", "exactly_once", "recovery_time")


# Two controls and one break.
ONE_POINT: dict[str, Any] = {"points": 1, "kinds": ["crash"], "work": ["selfplay"]}


def soak_file(folder: Path, storm_s: float) -> Path:
    """Soak C with phases of seconds."""
    soak: dict[str, Any] = yaml.safe_load((REPO / "experiments" / "soak_c.yaml").read_text())
    quick = soak["profiles"]["quick"]
    quick |= {"baseline_s": 3, "storm_s": storm_s, "quiet_s": 2}
    quick["settings"]["draw_interval_s"] = 8  # little to drain
    quick.pop("criteria", None)
    soak["profiles"] = {"quick": quick}
    soak["criteria"] = {name: soak["criteria"][name] for name in (*CRITERIA, "halt")}
    path = folder / "soak_c.yaml"
    path.write_text(yaml.safe_dump(soak))
    return path


def gate_file(folder: Path) -> Path:
    """A gate of one soak, with a crash sweep after it."""
    soak = str(soak_file(folder, storm_s=26))
    content = {
        "soaks": [soak],
        "faults": ["llm_timeout:count=1,hold=13s"],
        "default_profile": "quick",
        "profiles": {"quick": {"cooldown_s": 1, "sweep": {**ONE_POINT, "after": soak}}},
    }
    path = folder / "gate.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def killed_in_its_first_run(runs: Path, config: Path) -> tuple[GateDir, RunDir]:
    """Begin a gate, SIGKILL it while its first run is under way, and wait for the run's end."""
    process = start(runs, "gate", "--config", str(config), "--seed", "5", start_new_session=True)

    def look() -> list[RunDir]:
        assert process.poll() is None, finish(process, runs).text
        return _under_way(runs)

    found = wait_for("the gate's first run is under way", look, APPEAR_LIMIT_S)
    process.kill()
    finish(process, runs)
    await_gone(found[0])  # the run does not outlive its gate
    return find_gate("latest", runs), found[0]


def _under_way(runs: Path) -> list[RunDir]:
    histories = runs.glob("gate/*/soak_c/2*/history.jsonl")
    return [RunDir(path.parent) for path in histories if '"baseline"' in path.read_text()]


@pytest.mark.slow(seconds=180)
def test_killed_gate_can_be_continued_to_its_verdict(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    gate, first = killed_in_its_first_run(runs, gate_file(tmp_path))

    done = chaos(runs, "gate", "--resume", gate.path.name)
    assert done.exit_code == 0, done.text
    assert "PRODUCTION-READY  all 2 runs pass" in done.stdout
    state = gate.read()
    assert [item.state for item in state.steps] == ["done", "done"]
    assert [len(item.attempts) for item in state.steps] == [2, 1]
    assert state.steps[0].attempts[0] == gate.relative(first)
    assert state.steps[0].run != gate.relative(first)
    for item in state.steps:
        run = gate.run(item)
        assert run is not None and processes_of(run.run_id) == []
    suites = ET.fromstring(gate.junit.read_text()).findall("testsuite")
    names = ["soak_c clean", "soak_c under llm_timeout", "crash sweep", "gate"]
    assert [s.get("name") for s in suites] == names
    assert state.sweep is not None
    assert (state.sweep.word, state.sweep.counts) == ("SURVIVED", {"survived": 1})
    entry = gate.changelog.read_text()
    assert "- **Soak Test C: PASS**" in entry
    assert "1 fault proven" in entry and "memory " in entry and " processed" in entry
    attested_and_verified(runs, gate, tmp_path)


def attested_and_verified(runs: Path, gate: GateDir, folder: Path) -> None:
    """Real runs name the program files that they ran, and a changed record is not attested."""
    pytest.importorskip("cryptography")
    key, file = folder / "signer.pem", gate.path / "attestation.json"
    assert chaos(runs, "attest", "--new-key", str(key)).exit_code == 0
    done = chaos(runs, "attest", "latest", "--key", str(key))
    assert done.exit_code == 0 and "✓ ATTESTED  PASSED" in done.stdout, done.text
    daemon = REPO / "images" / "watcher" / "prng_registry.py"
    assert main(["verify", str(file), "--key", f"{key}.pub", "--subject", str(daemon)]) == 0
    run = gate.run(gate.read().steps[0])
    assert run is not None
    with run.history.open("a") as stream:
        stream.write("\n")
    done = chaos(runs, "attest", "latest", "--key", str(key))
    assert done.exit_code == 4 and "the record of soak_c clean was changed" in done.stderr


@pytest.mark.long
@pytest.mark.slow(seconds=90)
def test_a_gate_killed_in_its_sweep_goes_on_with_it(tmp_path: Path) -> None:
    """The crash sweep of a small daemon: what was judged before the SIGKILL is kept."""
    runs, config = tmp_path / "runs", swept_gate_file(tmp_path)
    words = ("--config", str(config), "--seed", "5", "--fault", "none")
    process = start(runs, "gate", *words, start_new_session=True)

    def one_judged() -> list[Path]:
        assert process.poll() is None, finish(process, runs).text
        found = runs.glob("gate/*/sweep/*/sweep.json")
        return [path for path in found if json.loads(path.read_text())["results"]]

    (stored,) = wait_for("a break is judged", one_judged, APPEAR_LIMIT_S)
    process.kill()
    finish(process, runs)
    before = json.loads(stored.read_text())["results"]

    done = chaos(runs, "gate", "--resume", "latest")
    assert done.exit_code == 3, done.text  # no fault was tried
    entry = find_gate("latest", runs).read().sweep
    assert entry is not None
    assert (entry.state, entry.word) == ("done", "SURVIVED"), done.text
    sweep = json.loads(stored.read_text())
    assert sweep["results"][: len(before)] == before
    assert len(sweep["results"]) == 3
    assert len(sweep["controls"]["selfplay"]) == 2  # the controls were not made again
    for path in stored.parent.glob("*/*/config.json"):
        assert processes_of(RunDir(path.parent).run_id) == []


def swept_gate_file(folder: Path) -> Path:
    """A gate of a queue worker: soak B with little work, then a sweep of three points."""
    daemon = REPO / "tests" / "sweep" / "daemon"
    target = (daemon / "target.yaml").read_text(encoding="utf-8")
    target = target.replace("source: worker.py", f"source: {daemon / 'worker.py'}")
    (folder / "daemon.yaml").write_text(target, encoding="utf-8")
    soak: dict[str, Any] = yaml.safe_load((REPO / "experiments" / "soak_b.yaml").read_text())
    quick = soak["profiles"]["quick"]
    quick |= {"baseline_s": 1, "storm_s": 3, "quiet_s": 1}
    quick.pop("criteria", None)
    soak |= {"profiles": {"quick": quick}, "target": str(folder / "daemon.yaml")}
    soak["criteria"] = {name: soak["criteria"][name] for name in ("request_queue", "exactly_once")}
    (folder / "soak_b.yaml").write_text(yaml.safe_dump(soak))
    sweep = {"after": str(folder / "soak_b.yaml"), "points": 3, "kinds": ["crash"]}
    content = {
        "soaks": [sweep["after"]],
        "faults": ["none"],
        "default_profile": "quick",
        "profiles": {"quick": {"cooldown_s": 0, "sweep": sweep}},
    }
    (folder / "gate.yaml").write_text(yaml.safe_dump(content))
    return folder / "gate.yaml"


def test_replay_repeats_the_run_and_compares_the_verdicts(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    soak_file(tmp_path, storm_s=3)
    first = chaos(runs, "run", str(tmp_path / "soak_c.yaml"), "--fault", "none", "--seed", "5")
    assert first.exit_code == 0, first.text
    stored = first.run()
    again = chaos(runs, "replay", "latest", "--json")
    assert again.exit_code == 0, again.text
    content = json.loads(again.stdout)
    assert content["agree"] and content["replay_of"] == stored.run_id
    new = RunDir(Path(content["run"]))
    assert new.path != stored.path
    assert new.read_json(new.config) == stored.read_json(stored.config)
    assert new.read_json(new.schedule) == stored.read_json(stored.schedule)
    assert new.read_json(new.provenance)["replay_of"]["run_id"] == stored.run_id
    assert processes_of(new.run_id) == []
