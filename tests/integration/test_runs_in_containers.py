"""`chaos run --backend docker` as its users call it, on a real engine: judged alike, left clean."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from docker import DockerClient

from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.stack.docker import engine, objects
from tests.integration.command import Done, chaos, finish, history, settings, start
from tests.planted.table import DEFECTS
from tests.stack.docker.foreign import EVERYTHING, planted, present
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.docker,
    pytest.mark.whole_run,
    pytest.mark.stack,
    pytest.mark.slow(seconds=90),
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("docker_engine"),
]

IN_CONTAINERS = ("--backend", "docker")
WITNESSED = (
    *("child_witnessed", "publication_witnessed", "requests_witnessed", "order_witnessed"),
    *("parameters_witnessed", "answers_witnessed", "log_rewritten", "files_left", "bystanders"),
)
SEEN = (
    "processes where service = 'watcher'",
    "file_ops where call = 'rename'",
    "wire where link = 'llm' and ended = 'answered' and not harness",
)
_END_LIMIT_S = 120.0


@pytest.fixture
def client(docker_engine: str) -> Iterator[DockerClient]:
    """A client of the engine."""
    with closing(engine.connect(docker_engine)) as made:
        yield made


def left_of(client: DockerClient, run: RunDir) -> list[str]:
    return objects.names(client, run.run_id)


@pytest.mark.slow(seconds=150)
def test_soak_b_passes_in_containers(client: DockerClient, tmp_path: Path) -> None:
    """Ten requests, exactly once, under a cut LLM, as both witnesses saw it.

    Provenance names what ran; nothing is left.
    """
    done = chaos(
        tmp_path, "run", "soak_b", "--fault", "llm_timeout:count=1", "--seed", "2", *IN_CONTAINERS
    )
    assert done.exit_code == 0, done.text
    run = done.run()
    told = run.read_json(run.provenance)["containers"]
    assert sorted(told["digests"]) == ["injector", "llm", "toxiproxy", "watcher"]
    assert all(digest.startswith("sha256:") for digest in told["digests"].values())
    assert told["engine_facts"]["version"] and told["compose_version"]
    assert {check: done.outcome(check) for check in WITNESSED} == dict.fromkeys(WITNESSED, "pass")
    with OpenRun(run) as seen:
        for rows in SEEN:
            assert seen.one(f"select count(*) from {rows}"), rows
    assert left_of(client, run) == []
    assert {path.owner() for path in run.path.rglob("*")} == {run.path.owner()}
    assert not (run.path / "watching").exists()


@pytest.mark.long
def test_soak_c_passes_in_containers_under_three_faults(
    client: DockerClient, tmp_path: Path
) -> None:
    """The autonomous loop with its LLM cut, its disk nearly full, its queue corrupted."""
    faults = ("llm_timeout:count=1,hold=20s", "disk_pressure:count=1", "queue_corruption:count=1")
    words = [word for fault in faults for word in ("--fault", fault)]
    changes = settings(storm_s=100)
    done = chaos(tmp_path, "run", "soak_c", *words, "--seed", "4", *changes, *IN_CONTAINERS)
    assert done.exit_code == 0, done.text
    proven = {f["name"] for f in done.verdict()["faults"] if f.get("state") != "unavailable"}
    assert {fault.partition(":")[0] for fault in faults} <= proven
    assert left_of(client, done.run()) == []


@pytest.mark.long
def test_the_canary_fails_in_containers_too(client: DockerClient, tmp_path: Path) -> None:
    """A Watcher that hides its fallbacks: the gate says no, whichever backend."""
    done = chaos(tmp_path, "canary", "--seed", "1", *IN_CONTAINERS)
    assert done.exit_code == 0, done.text
    assert done.outcome("heuristic_fallbacks") == "fail"
    assert left_of(client, done.run()) == []


def test_ctrl_c_ends_the_run_and_leaves_nothing(client: DockerClient, tmp_path: Path) -> None:
    process = start(tmp_path, "run", "soak_c", "--fault", "llm_timeout", *IN_CONTAINERS)
    run = await_text(tmp_path, process, '"stack ready"', '"name":"baseline"')
    process.send_signal(signal.SIGINT)
    done = finish(process, tmp_path, _END_LIMIT_S)
    assert done.exit_code == 130, done.text
    assert left_of(client, run) == []
    assert [r["name"] for r in history(run) if r["kind"] == "phase"][-1] == "end"


def test_ctrl_c_while_the_pod_is_made_leaves_nothing(client: DockerClient, tmp_path: Path) -> None:
    """Compose is ended, what it made is removed, and the run is interrupted, not a failure."""
    process = start(tmp_path, "run", "soak_b", *IN_CONTAINERS)
    run = await_text(tmp_path, process, "")
    # The conductor has only just begun then.
    wait_for("a log of compose", lambda: list(run.logs.glob("co*.log")), pause_s=0.002)
    process.send_signal(signal.SIGINT)
    done = finish(process, tmp_path, _END_LIMIT_S)
    assert done.exit_code == 130, done.text
    assert run.read_json(run.verdict)["stopped"] == "interrupt"
    assert left_of(client, run) == []
    assert "Traceback" not in done.text


# At every change: killed after the fault has struck.
@pytest.mark.parametrize(
    "number",
    [1, *(pytest.param(number, marks=pytest.mark.long) for number in (0, 2, 3, 4, 5))],
)
def test_run_killed_at_a_random_moment_leaves_nothing(
    number: int, client: DockerClient, tmp_path: Path
) -> None:
    """SIGKILL of the command: every process of the pod ends by itself, `chaos clean` removes the
    rest, and what is somebody else's stays.
    """
    chance = random.Random(number)  # the moment is the test's own, the same every time
    labelled = client.images.list(filters={"label": "io.chaos-gate=image", "dangling": False})
    image = next(str(one.id) for one in labelled if one.tags)
    with planted(client, image) as foreign:
        kind = chance.choice(["llm_timeout", "disk_full", "queue_corruption", "watcher_paused"])
        process = start(
            tmp_path,
            "run",
            "soak_c",
            "--fault",
            f"{kind}:hold=8s,count=1",
            "--seed",
            str(number),
            *settings(baseline_s=1, storm_s=30),
            *IN_CONTAINERS,
        )
        if number % 2:
            run = await_text(tmp_path, process, '"state":"injected"')
            time.sleep(chance.uniform(0, 4))
        else:
            run = await_text(tmp_path, process, "")
            time.sleep(chance.uniform(0, 12))
        process.kill()
        process.communicate(timeout=30)
        await_no_process(client, run)
        cleaned = chaos(tmp_path, "clean")
        assert cleaned.exit_code == 0, cleaned.text
        assert left_of(client, run) == []
        assert chaos(tmp_path, "clean").exit_code == 0
        for name in foreign:
            assert present(client, name) == EVERYTHING
    assert chaos(tmp_path, "check", str(run.path)).exit_code in (1, 3, 4)


def await_text(
    runs: Path, process: subprocess.Popen[str], *texts: str, limit_s: float = 150.0
) -> RunDir:
    """The run, once its history has one of `texts` (an empty one: once there is a run)."""

    def look() -> RunDir | None:
        found = [p.parent for p in runs.glob("*/*/containers.json") if not p.parent.is_symlink()]
        if found:
            run = RunDir(found[0].resolve())
            said = run.history.read_text(errors="replace") if run.history.is_file() else ""
            if any(text in said for text in texts):
                return run
        assert process.poll() is None, "".join(process.communicate())
        return None

    found = wait_for(f"one of {texts} in the history", look, limit_s)
    assert found is not None
    return found


def await_no_process(client: DockerClient, run: RunDir, limit_s: float = 60.0) -> None:
    """Until no container of the run is running: the pod ends by itself."""

    def gone() -> bool:
        running = client.api.containers(filters=objects.labelled(run.run_id))
        # Killed before there was a harness inside: its holder waits for `chaos clean`.
        return not running or not holder_started_inside(running)

    wait_for("no container of the run is running", gone, limit_s, pause_s=0.2)


def holder_started_inside(running: list[dict[str, object]]) -> bool:
    """True if more than the holder was made: only then can the harness inside end the pod."""
    return len(running) > 1


def test_lie_is_seen_in_containers_and_replay_refuses_other_images(
    client: DockerClient, tmp_path: Path
) -> None:
    """A Watcher whose child does nothing is caught by the witness.

    Of the same run the stored digests are compared; with --force the difference is only reported.
    """
    run = caught("fakes_work", "child_witnessed", tmp_path).run()
    told = run.read_json(run.provenance)
    told["containers"]["digests"]["watcher"] = "sha256:" + "0" * 64
    run.write_json(run.provenance, told)
    again = chaos(tmp_path, "replay", str(run.path))
    assert again.exit_code == 4, again.text
    assert "image watcher" in again.stderr and "--force" in again.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "check"),
    [("invents_answers", "answers_witnessed"), ("kills_everything", "bystanders")],
)
def test_defective_watcher_is_caught_in_containers_by_a_witness(
    name: str, check: str, client: DockerClient, tmp_path: Path
) -> None:
    """By that of the wire; and one that would end the harness, the pod and the witnesses."""
    done = caught(name, check, tmp_path, storm_s=20)
    assert done.exit_code == 1, done.text
    assert left_of(client, done.run()) == []


@pytest.mark.long
@pytest.mark.parametrize("service", ["witness", "wire_witness"])
def test_death_of_a_witness_ends_the_run_in_containers_too(
    service: str, client: DockerClient, tmp_path: Path
) -> None:
    """Exit code 4: what is not seen proves nothing."""
    process = start(tmp_path, "run", "soak_c", "--fault", "none", *IN_CONTAINERS)
    run = await_text(tmp_path, process, '"injector_started"')
    containers = client.api.containers(filters=objects.labelled(run.run_id))
    (one,) = (c for c in containers if c["Labels"]["com.docker.compose.service"] == service)
    client.api.kill(one["Id"])
    done = finish(process, tmp_path, _END_LIMIT_S)
    assert done.exit_code == 4, done.text
    ended = [r["detail"] for r in history(run) if r.get("name") == "service_exit"]
    assert [(e["service"], e["exit_code"]) for e in ended] == [(service, -signal.SIGKILL)]
    assert left_of(client, run) == []


def caught(name: str, check: str, folder: Path, storm_s: int = 10) -> Done:
    """A short soak B of that planted Watcher, which fails by `check`."""
    target = target_in_pod(name, folder)
    quick = settings(baseline_s=1, storm_s=storm_s, quiet_s=1)[:6]
    asked = ("run", "soak_b", "--target", str(target), "--fault", "none", "--seed", "1")
    done = chaos(folder, *asked, *quick, *IN_CONTAINERS)
    assert done.outcome(check) == "fail", done.text
    return done


def target_in_pod(name: str, folder: Path) -> Path:
    """The target of a planted Watcher. The pod has no file of ours: its program is an argument."""
    (planted,) = (one for one in DEFECTS if one.name == name)
    written = planted.target(folder)
    program = base64.b64encode(planted.program.read_bytes()).decode()
    target = yaml.safe_load(written.read_text(encoding="utf-8"))
    del target["workspace"]["install"][-1]
    words = ["{python}", "-c", f"exec(__import__('base64').b64decode('{program}'))"]
    target["watcher"]["start"] = [*words, "--daemon"]
    target["batch"]["command"] = [*words, "--process-requests"]
    written.write_text(yaml.safe_dump(target), encoding="utf-8")
    return written


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DOCKER_HOST": "unix:///nowhere/docker.sock"}, "no container engine answers"),
        ({"CHAOS_WATCHER_IMAGE": "nowhere/watcher:1"}, "there is no image nowhere/watcher:1"),
        ({"CHAOS_TOXIPROXY": "builtin"}, "needs a real Toxiproxy"),
    ],
)
def test_obstacle_to_the_start_of_a_run_is_reported(
    tmp_path: Path, env: dict[str, str], said: str
) -> None:
    """Exit 4, one message with the next step, no traceback, no run directory."""
    done = chaos(tmp_path, "run", "soak_b", "--fault", "none", *IN_CONTAINERS, env=env)
    assert done.exit_code == 4, done.text
    assert said in done.stderr and "next:" in done.stderr
    assert "Traceback" not in done.text
    assert not list(tmp_path.glob("*/*/config.json"))


@pytest.mark.slow(seconds=10)
def test_machine_without_nvidia_runtime_is_reported(tmp_path: Path, client: DockerClient) -> None:
    if "nvidia" in engine.facts(client).runtimes:
        pytest.skip("this engine can give containers a GPU")
    done = chaos(tmp_path, "run", "soak_b", "--fault", "none", "--gpu", *IN_CONTAINERS)
    assert done.exit_code == 4, done.text
    assert "no NVIDIA runtime" in done.stderr


@pytest.mark.slow(seconds=30)
def test_taken_port_is_reported(tmp_path: Path, client: DockerClient) -> None:
    """Where the user asks for a certain port and another program has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = chaos(
            tmp_path,
            "run",
            "soak_b",
            "--fault",
            "none",
            *IN_CONTAINERS,
            env={"CHAOS_LLM_PORT": port},
        )
    assert done.exit_code == 4, done.text
    assert "CHAOS_LLM_PORT" in done.text
    assert left_of(client, done.run()) == []


@pytest.mark.slow(seconds=10)
def test_missing_compose_is_reported(tmp_path: Path) -> None:
    """A PATH without docker and docker-compose."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("setpriv", "git"):
        for folder in os.environ["PATH"].split(os.pathsep):
            if (Path(folder) / name).exists():
                (tools / name).symlink_to(Path(folder) / name)
                break
    runs = tmp_path / "runs"
    done = chaos(runs, "run", "soak_b", "--fault", "none", *IN_CONTAINERS, env={"PATH": str(tools)})
    assert done.exit_code == 4, done.text
    assert "there is no Compose" in done.stderr


@pytest.mark.slow(seconds=10)
def test_run_in_containers_has_the_same_schedule(tmp_path: Path) -> None:
    """Neither the backend nor the machine decides what happens when."""
    words = ("run", "soak_c", "--faults", "all", "--seed", "9", "--dry-run", "--json")
    words += ("--skip-unavailable",)
    here, there = chaos(tmp_path, *words), chaos(tmp_path, *words, *IN_CONTAINERS)
    assert json.loads(here.stdout)["schedule"] == json.loads(there.stdout)["schedule"]
