"""Values of settings and targets that no start could use are said before it, with their place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.shipped import EXPERIMENTS
from chaos.cli.main import main
from chaos.runner.resolve import Request, resolve

SOAK, TARGET = "soak_c.yaml", "targets/reference.yaml"
AGENTS = 'source: "{programs}/watcher/agents",'


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """A private copy of experiments/, to be broken."""
    return Path(shutil.copytree(EXPERIMENTS, tmp_path / "experiments"))


def replaced(folder: Path, file: str, old: str, new: str) -> int:
    """Replace text in one file; the line on which the new text begins."""
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1 + len(new) - len(new.lstrip("\n"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("settings.llm_timeout_s=-1", "a number more than 0"),
        ("settings.draw_interval_s=0", "a number more than 0"),
        ("settings.llm_attempts=1.5", "a whole number at least 1"),
        ("workload=bogus", "autonomous_loop"),
        ("sample_period_s=1e-9", "at least 0.05"),
    ],
)
def test_a_setting_of_the_command_line(
    changed: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "soak_c", "--dry-run", "--set", changed]) == 2
    said = capsys.readouterr().err
    assert f"--set {changed.partition('=')[0]}: " in said
    assert words in said


def test_a_workload_of_the_command_line_is_the_one_that_runs() -> None:
    request = Request("soak_b", profile="batch", overrides=["workload=sequential_requests"])
    assert resolve(request).workload == "sequential_requests"
    assert resolve(Request("soak_b", profile="batch")).workload == "batch_requests"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("five", "'five' is not a number more than 0"),
        ("-5", "-5 is not a number more than 0"),
        ("[1, {a: b}]", "is not a number more than 0"),
        ("", "nothing is not a number"),
    ],
)
@pytest.mark.parametrize("profile", ["quick", "full"])
def test_a_setting_of_a_file_whichever_profile_is_chosen(
    experiments: Path, profile: str, value: str, words: str
) -> None:
    line = replaced(experiments, SOAK, "llm_timeout_s: 60", f"llm_timeout_s: {value}")
    with pytest.raises(UsageError) as caught:
        resolve(Request("soak_c", profile=profile, experiments=experiments))
    assert f"{SOAK}:{line} profiles.full.settings.llm_timeout_s" in str(caught.value)
    assert words in str(caught.value)


def test_a_setting_that_the_workload_needs_is_missed_in_its_file(experiments: Path) -> None:
    replaced(experiments, "soak_a.yaml", "      backlog_max: 3\n", "")
    line = replaced(experiments, "soak_a.yaml", "    settings:\n", "    settings:\n")
    with pytest.raises(UsageError, match="backlog_max is missing") as caught:
        resolve(Request("soak_a", experiments=experiments))
    assert f"soak_a.yaml:{line} profiles.quick.settings.backlog_max" in caught.value.place


@pytest.mark.parametrize("value", ["7", "0.5", "true", "some text"])
def test_a_setting_of_ones_own_may_be_any_single_value(experiments: Path, value: str) -> None:
    new = f"mine: {value}, llm_timeout_s: 60"
    replaced(experiments, SOAK, "llm_timeout_s: 60", new)
    plan = resolve(Request("soak_c", profile="full", experiments=experiments))
    assert str(plan.profile.settings["mine"]).lower() == value


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("endpoint: 127.0.0.1:8080", "endpoint: nope", "llm.endpoint"),
        ("endpoint: 127.0.0.1:8080", "endpoint: 127.0.0.1:80800", "llm.endpoint"),
        ("endpoint: 127.0.0.1:8080", 'endpoint: ":8080"', "llm.endpoint"),
        ("upstream: 127.0.0.1:8081", "upstream: 127.0.0.1:8080", "llm.upstream"),
        ("wire: 127.0.0.1:8082", "wire: 127.0.0.1:8081", "llm.wire"),
        ('start: ["{python}", "agents', 'start: []  # "agents', "watcher.start"),
        (AGENTS, "source: nosuch/agents,", "workspace.install[0].source"),
        (AGENTS, "source: /no/such,", "workspace.install[0].source"),
        ("to: agents}", "to: ../../x}", "workspace.install[0].to"),
        ("to: agents}", 'to: ""}', "workspace.install[0].to"),
        ("ready_file: watcher_s", "ready_file: /etc/passwd  # ", "watcher.ready_file"),
        ("flags: [watcher_halt.flag]", "flags: [../halt]", "halt.flags[0]"),
        ("pending: watcher_requests/*.json", "pending: ../*", "work.pending"),
        ("{files: watcher_requests/archive/*.json, request: true}", "/etc/*", "work.done"),
        ("{folder: watcher_requests}", "{}", "work.submit"),
        ("pending: watcher_requests/*.json", "pending: /etc/*", "work.pending"),
        ("pending: watcher_requests/*.json", "pending: a**b", "work.pending"),
        ('PYTHONPATH: "."', 'A=B: "."', "env.A=B"),
        ("modulus: 1000", "modulus: 0", "draws.modulus"),
        ('call_limit_s: "{llm_timeout_s}"', "call_limit_s: soon", "llm.call_limit_s"),
        ('call_limit_s: "{llm_timeout_s}"', 'call_limit_s: "{llm_time}"', "llm.call_limit_s"),
        ('"boot', '"{{x}}", "boot', "workspace.prepare[0][1]"),
        ('  - ["{python}", "boot', '  - []\n    - ["{python}", "boot', "workspace.prepare[0]"),
        ('["{python}", "agents/watcher_agent.py", "--process', '["{x}", "--', "batch.command[0]"),
        ('locks: ["**/*.lock"]', 'locks: ["/**/*.lock"]', "instance.locks[0]"),
    ],
)
def test_a_value_of_the_target(experiments: Path, old: str, new: str, key: str) -> None:
    line = replaced(experiments, TARGET, old, new)
    with pytest.raises(UsageError) as caught:
        resolve(Request("soak_c", experiments=experiments))
    assert f"reference.yaml:{line} {key}" == caught.value.place.rpartition("/")[2]
    assert caught.value.next_step


@pytest.mark.parametrize("text", ["{", "{x}"])
def test_a_template_that_cannot_be_filled(experiments: Path, text: str) -> None:
    replaced(experiments, TARGET, 'reason: "{reason}"', f'reason: "{text}"')
    line = replaced(experiments, TARGET, "    selfplay:\n", "    selfplay:\n")
    with pytest.raises(UsageError) as caught:
        resolve(Request("soak_c", experiments=experiments))
    assert f"reference.yaml:{line} work.kinds.selfplay" in caught.value.place


def test_a_target_without_the_batch_command_that_the_workload_needs(experiments: Path) -> None:
    text = (experiments / TARGET).read_text(encoding="utf-8")
    batch = text[text.index("batch:\n") : text.index("halt:\n")]
    replaced(experiments, TARGET, batch, "batch: null\n")
    assert resolve(Request("soak_b", experiments=experiments))
    with pytest.raises(UsageError, match="no batch command") as caught:
        resolve(Request("soak_b", profile="batch", experiments=experiments))
    assert caught.value.place.endswith(" batch")
    assert "reference.yaml:" in caught.value.place


def test_a_soak_without_criteria_could_not_be_judged(experiments: Path) -> None:
    path = experiments / SOAK
    before, _, after = path.read_text(encoding="utf-8").partition("\ncriteria:\n")
    text = before[: before.index("  full:")] + "\ncriteria: {}\n"
    path.write_text(text + after[after.index("\nguardrails:") :], encoding="utf-8")
    with pytest.raises(UsageError, match="there is no criterion") as caught:
        resolve(Request("soak_c", experiments=experiments))
    assert caught.value.place.endswith(" criteria")


def test_an_absolute_source_is_ones_own_program(experiments: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    new = f"source: {own},"
    replaced(experiments, TARGET, AGENTS, new)
    in_image = Request("soak_c", experiments=experiments, backend="docker")
    assert resolve(in_image).target.workspace.install[0].source == str(own)
    own.touch()
    assert resolve(Request("soak_c", experiments=experiments))


@pytest.mark.parametrize("name", ["gate", "latest"])
def test_a_soak_is_not_named_like_what_else_lies_among_the_runs(
    experiments: Path, name: str
) -> None:
    replaced(experiments, SOAK, "soak: soak_c", f"soak: {name}")
    mine = (experiments / SOAK).rename(experiments / f"{name}.yaml")
    for soak in (str(mine), name):
        with pytest.raises(UsageError) as caught:
            resolve(Request(soak, experiments=experiments))
        assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="cannot name a soak"):
        resolve(Request(str(mine), experiments=experiments))


@pytest.mark.parametrize(
    "words", [("doctor", "--workspace"), ("monitor", "--count", "1", "--workspace"), ("triage",)]
)
def test_a_target_that_no_run_could_use_is_refused_by_who_only_looks(
    words: tuple[str, ...], experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = replaced(experiments, TARGET, "pending: ", "pending: /")
    target = str(experiments / TARGET)
    assert main([*words, str(tmp_path), "--target", target]) == 2
    said = capsys.readouterr().err
    assert f"{target}:{line} work.pending" in said and "Traceback" not in said


@pytest.mark.parametrize(("budget_s", "told"), [(60, True), (600, False)])
def test_phases_that_the_budget_has_no_room_for_are_told(
    budget_s: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not refused: some phases end with their work, and a budget may be there to be met."""
    words = ["--dry-run", "--set", f"guardrails.run_budget_s={budget_s}"]
    assert main(["run", "soak_c", *words]) == 0
    said = capsys.readouterr().out
    assert ("note: guardrails.run_budget_s ends the run after 1 min 00 s" in said) == told, said
