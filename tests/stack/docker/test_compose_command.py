"""Which compose is used, what it is told, and what its failure says. The compose programs here are
stand-ins of a few lines of shell: real ones are used by the tests that need an engine.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.shipped import ROOT
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.runner.containers import prepare
from chaos.runner.containers.settings import Settings, check_target, knobs, make_project
from chaos.runner.resolve import Request, resolve
from chaos.stack.docker import compose
from chaos.stack.docker.objects import RUN_LABEL, Unanswered
from chaos.stack.proctree import await_gone
from tests.stack.docker.running import some_settings

V2 = 'case "$*" in "compose version --short") echo v2.29.7;; *) exit 1;; esac'
NO_PLUGIN = "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1"


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of one empty folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_compose_version_two_is_preferred(path: Path) -> None:
    program(path, "docker", V2)
    program(path, "docker-compose", "echo 1.29.2")
    assert compose.find() == compose.Compose((str(path / "docker"), "compose"), "2.29.7")


def test_compose_version_one_is_used_where_version_two_is_absent(path: Path) -> None:
    program(path, "docker", NO_PLUGIN)
    program(path, "docker-compose", "echo 1.29.2")
    assert compose.find() == compose.Compose((str(path / "docker-compose"),), "1.29.2")


@pytest.mark.parametrize(
    ("old", "said"),
    [("echo 1.25.0", "docker-compose: 1.25.0 is too old"), ("exit 3", "docker-compose: not ava")],
)
def test_engine_error_names_what_was_tried(path: Path, old: str, said: str) -> None:
    program(path, "docker-compose", old)
    with pytest.raises(EnvironmentProblem, match=said) as raised:
        compose.find()
    assert "docker: not installed" in raised.value.message
    assert "install" in raised.value.next_step


def settings(command: Path) -> Settings:
    return replace(some_settings(), compose_argv=(str(command),))


def test_compose_gets_files_project_and_variables(
    path: Path, plan: Plan, run: RunDir, tmp_path: Path
) -> None:
    """What the program got: words, variables; nothing of the user's own compose settings."""
    program(
        path, "compose", f'printf "%s\\n" "$@" > {tmp_path}/words; /usr/bin/env > {tmp_path}/env'
    )
    made = settings(path / "compose")
    make_project(made, plan, run, ["injector"])
    words = (tmp_path / "words").read_text().split()
    assert words[:2] == ["--project-name", compose.project_of(run.run_id)]
    files = [words[at + 1] for at, word in enumerate(words) if word == "--file"]
    assert files == [str(ROOT / "docker-compose.yml"), str(run.path / "compose.override.json")]
    assert words[-4:] == ["up", "--no-start", "--no-build", "injector"]
    told = dict(
        line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line
    )
    assert told["CHAOS_PROJECT"] == told["CHAOS_RUN_ID"] == run.run_id
    assert (told["CHAOS_UID"], told["CHAOS_GID"]) == ("1234", "5678")
    assert (told["CHAOS_MODELS"], told["CHAOS_MODEL_FILE"]) == (
        str(run.path / "model"),
        "model.gguf",
    )
    # An empty file for the model to be mounted on: its own folder may hold anything.
    assert [path.name for path in (run.path / "model").iterdir()] == ["model.gguf"]
    assert told["DOCKER_HOST"] == "unix:///nowhere"


def test_override_adds_the_run_and_weakens_no_limit(path: Path, plan: Plan, run: RunDir) -> None:
    program(path, "compose", "exit 0")
    make_project(settings(path / "compose"), plan, run)
    override = json.loads((run.path / "compose.override.json").read_text())
    assert list(override) == ["services"]
    allowed = {"command", "environment", "healthcheck", "volumes"}
    for name, service in override["services"].items():
        assert set(service) <= allowed
        assert service["environment"]["CHAOS_SERVICE"] == name
    mount, watching = override["services"]["injector"]["volumes"]
    # Below a folder that no image has: one that it has may be closed to the pod's user.
    at = f"/runs/{plan.soak}/{run.path.name}"
    assert mount == {"type": "bind", "source": str(run.path), "target": at}
    (model,) = override["services"]["llm"]["volumes"]
    assert model == {
        "type": "bind",
        "source": "/somewhere/model.gguf",
        "target": "/models/model.gguf",
        "read_only": True,
    }
    # The Watcher gets the witness's programs and its socket, and may change neither.
    source = str(run.path / "watching")
    assert watching == {"type": "bind", "source": source, "target": "/opt/witness"}
    assert override["services"]["watcher"]["volumes"] == [{**watching, "read_only": True}]
    mounted = [n for n, s in override["services"].items() if "volumes" in s]
    assert mounted == ["injector", "llm", "watcher"]


def test_run_without_witness_mounts_none(path: Path, plan: Plan, run: RunDir) -> None:
    program(path, "compose", "exit 0")
    make_project(settings(path / "compose"), replace(plan, witness="none"), run)
    services = json.loads((run.path / "compose.override.json").read_text())["services"]
    assert len(services["injector"]["volumes"]) == 1
    assert services["watcher"]["volumes"] == []
    assert not (run.path / "watching").exists()


def test_every_object_has_the_label_of_its_project() -> None:
    """By it alone a run's objects are found and removed."""
    files = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    objects = [
        *files["services"].values(),
        *files["networks"].values(),
        *files["volumes"].values(),
    ]
    assert {one["labels"][RUN_LABEL] for one in objects} == {"${CHAOS_PROJECT:-by-hand}"}


def test_failure_of_compose_is_reported_with_its_last_lines(
    path: Path, plan: Plan, run: RunDir
) -> None:
    program(path, "compose", "echo first >&2; echo 'no such image: x' >&2; exit 1")
    with pytest.raises(EnvironmentProblem, match="first no such image: x") as raised:
        make_project(settings(path / "compose"), plan, run)
    assert raised.value.place == str(run.logs / "compose.log")
    assert "no such image" in (run.logs / "compose.log").read_text()


def test_run_uses_only_the_settings_that_are_recorded(
    path: Path, plan: Plan, run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment had when the run was prepared, whatever lies about since."""
    monkeypatch.setenv("CHAOS_LLM_CONTEXT", "4096")
    monkeypatch.setenv("CHAOS_LLM_IMAGE", "another")  # a run has its own
    monkeypatch.setenv("CHAOS_NOT_OF_THE_FILES", "1")
    known = knobs(gpu=False)
    assert known == {"CHAOS_LLM_CONTEXT": "4096"}
    assert "CHAOS_LLM_GPU_LAYERS" not in known
    monkeypatch.setenv("CHAOS_LLM_GPU_LAYERS", "20")
    assert knobs(gpu=True)["CHAOS_LLM_GPU_LAYERS"] == "20"

    program(path, "compose", f'echo "$@" > {tmp_path}/words; /usr/bin/env > {tmp_path}/env')
    monkeypatch.setenv("CHAOS_LLM_CONTEXT", "1")
    monkeypatch.setenv("CHAOS_LLM_SLOTS", "1")
    make_project(replace(settings(path / "compose"), knobs=known), plan, run)
    told = (tmp_path / "env").read_text().splitlines()
    assert "CHAOS_LLM_CONTEXT=4096" in told
    assert not [line for line in told if line.startswith(("CHAOS_LLM_SLOTS", "CHAOS_NOT"))]
    # Nor those of the file that `scripts/images` writes for who starts the stack by hand.
    words = (tmp_path / "words").read_text().split()
    env_file = Path(words[words.index("--env-file") + 1])
    assert env_file.parent == run.path and env_file.read_text() == ""


@pytest.mark.parametrize(
    ("llm", "watcher", "sampled"),
    [("", "", "0"), ("0,1", "1", "0,1"), ("0", "1", "0,1"), ("all", "1", "all")],
)
def test_gpus_of_both_services_are_sampled(
    llm: str, watcher: str, sampled: str, plan: Plan, run: RunDir
) -> None:
    known = {"CHAOS_GPU_IDS": llm, "CHAOS_WATCHER_GPU_IDS": watcher}
    made = replace(settings(Path("compose")), knobs={k: v for k, v in known.items() if v})
    assert made.variables(plan, run)["CHAOS_SAMPLED_GPU_IDS"] == sampled


@pytest.mark.parametrize("how", ["third Ctrl-C", "grace is over"])
def test_compose_is_killed_when_hurried(
    how: str, path: Path, plan: Plan, run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it started with it, as the plugin below `docker`."""
    body = f"echo $$ > {tmp_path}/pid; /bin/sleep 600 & echo $! > {tmp_path}/child; wait"
    program(path, "compose", body)

    def enough() -> bool:
        return (tmp_path / "child").is_file() and (tmp_path / "child").read_text().endswith("\n")

    if how == "grace is over":
        monkeypatch.setattr(compose, "_GRACE_S", 0.3)
    hurried = enough if how == "third Ctrl-C" else lambda: False
    made = settings(path / "compose")
    with pytest.raises(Unanswered, match="interrupted while compose"):
        make_project(made, plan, run, cancelled=enough, hurried=hurried)
    pids = [int((tmp_path / name).read_text()) for name in ("pid", "child")]
    assert await_gone(pids, 5.0) == []


@pytest.mark.parametrize("code", [0, 1])
def test_compose_may_finish_its_step_after_a_cancel(
    code: int, path: Path, plan: Plan, run: RunDir, tmp_path: Path
) -> None:
    """After one Ctrl-C compose finishes, so no request to the engine is left without its outcome.

    If compose fails then, the outcome of a request may be unknown (`Unanswered`).
    """
    body = f": > {tmp_path}/begun; /bin/sleep 1; : > {tmp_path}/done; exit {code}"
    program(path, "compose", body)
    with pytest.raises(EnvironmentProblem, match="interrupted while compose") as raised:
        make_project(settings(path / "compose"), plan, run, cancelled=(tmp_path / "begun").is_file)
    assert (tmp_path / "done").is_file()
    assert isinstance(raised.value, Unanswered) == (code != 0)


def test_compose_is_not_started_after_ctrl_c(
    path: Path, plan: Plan, run: RunDir, tmp_path: Path
) -> None:
    program(path, "compose", f": > {tmp_path}/begun")
    with pytest.raises(EnvironmentProblem, match="interrupted"):
        make_project(settings(path / "compose"), plan, run, cancelled=lambda: True)
    assert not (tmp_path / "begun").exists()


def test_model_that_the_containers_cannot_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "it's a model.gguf"
    model.touch(mode=0o600)
    other = os.getuid() + 1
    with pytest.raises(EnvironmentProblem, match=f"{other}.*cannot read the model") as raised:
        prepare._check_readable(model, other)
    assert raised.value.next_step == f"chmod o+r {shlex.quote(str(model))}"
    prepare._check_readable(model, os.getuid())
    model.chmod(0o644)
    prepare._check_readable(model, other)


def test_run_of_an_ordinary_user_keeps_its_owner(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root cleans up after everybody."""
    changed: list[str] = []
    monkeypatch.setattr(os, "chown", lambda path, *_, **__: changed.append(str(path)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = settings(Path("compose"))
    made.take_back(run)
    assert changed == []
    replace(made, started_by_root=True).take_back(run)
    assert str(run.config) in changed


def test_target_with_other_addresses_is_refused(plan: Plan) -> None:
    llm = replace(plan.target.llm, upstream="127.0.0.1:9999")
    with pytest.raises(UsageError, match=r"serves 127\.0\.0\.1:8081"):
        check_target(replace(plan, target=replace(plan.target, llm=llm)))
    check_target(plan)


@pytest.mark.parametrize(
    "request_", [Request("soak_c", gpu=True), Request("soak_c", backend="docker", sandbox="none")]
)
def test_options_that_exclude_each_other_are_refused(request_: Request) -> None:
    with pytest.raises(UsageError, match="container"):
        resolve(request_)


def test_reproduce_command_names_the_backend() -> None:
    repeat = resolve(
        Request("soak_c", faults=["none"], seed=1, backend="docker", gpu=True)
    ).reproduce
    assert repeat.endswith("--backend docker --gpu")
