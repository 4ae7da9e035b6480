"""Resolving a plan: precedence, merging, and errors for unknown names with the nearest name."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.base.shipped import EXPERIMENTS
from chaos.base.units import duration_s
from chaos.cli.main import build_parser
from chaos.cli.options import RunOptions
from chaos.plan.describe import full, head
from chaos.plan.plan import FaultPlan, Plan, Value
from chaos.plan.schedule import draw
from chaos.runner.resolve import Request, read_soak, resolve, soak_names, target_names


def asked(**changes: object) -> Request:
    return Request(**{"soak": "soak_c", "seed": 1, **changes})  # type: ignore[arg-type]


def refused(**changes: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        resolve(asked(**changes))
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """A private copy of experiments/, to be broken."""
    return Path(shutil.copytree(EXPERIMENTS, tmp_path / "experiments"))


@pytest.fixture
def broken(experiments: Path) -> Callable[[str, str, str], UsageError]:
    """Replace text in one file of the copy and resolve against it."""

    def attempt(file: str, old: str, new: str) -> UsageError:
        path = experiments / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return refused(experiments=experiments)

    return attempt


@pytest.mark.parametrize("soak", soak_names())
def test_every_shipped_profile_resolves_with_the_control_and_each_default_fault(soak: str) -> None:
    """No file that ships is broken, whichever of its profiles is chosen."""
    for profile in ("quick", "full"):
        for faults in ([], ["none"], ["llm_timeout"]):
            plan = resolve(asked(soak=soak, profile=profile, faults=faults))
            assert draw(plan).hash
            assert plan.target.target in target_names()


def test_plan_read_from_its_file_is_equal() -> None:
    """config.json holds everything: written and read back it is the same plan."""
    plan = resolve(asked(faults=["llm_timeout:hold=3s"], overrides=["storm_s=90"]))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_config_that_is_not_a_plan_is_refused() -> None:
    with pytest.raises(UsageError, match="not the plan of a run"):
        Plan.from_json({"soak": "x"})


def test_parameters_of_command_line_override_profile_override_fault() -> None:
    by_fault: dict[str, Value] = {"timeout": 0.0}
    shipped = read_soak("soak_c")[1].profiles["quick"].fault_defaults["llm_timeout"]
    by_profile: dict[str, Value] = {"hold": duration_s(shipped["hold"]), "count": shipped["count"]}
    (fault,) = resolve(asked(faults=["llm_timeout"])).faults
    assert (fault.name, fault.params) == ("llm_timeout", by_fault | by_profile)
    given = resolve(asked(faults=["llm_timeout:hold=500ms"])).faults[0].params
    assert given == by_fault | by_profile | {"hold": 0.5}


def test_period_replaces_the_profiles_count() -> None:
    params = resolve(asked(faults=["llm_timeout:period=40s"])).faults[0].params
    assert params["period"] == 40.0
    assert "count" not in params


def test_no_fault_is_a_clean_run_and_none_is_the_control() -> None:
    assert resolve(asked()).faults == ()
    assert resolve(asked(faults=["none"])).faults == (FaultPlan("none", {}, control=True),)


def test_fault_can_be_repeated_with_other_parameters() -> None:
    texts = ["llm_timeout:hold=2s,count=1", "llm_timeout:hold=1s,count=1"]
    faults = resolve(asked(faults=texts)).faults
    assert [fault.params["hold"] for fault in faults] == [2.0, 1.0]


def test_criteria_of_the_profile_are_merged_over_the_experiments() -> None:
    experiment = read_soak("soak_c")[1]
    own = experiment.profiles["full"].criteria
    assert own  # or this test would check nothing
    full = resolve(asked(profile="full"))
    for name, params in experiment.criteria.items():
        assert full.criteria[name] == params | own.get(name, {})


def test_seed_is_drawn_when_not_given_and_kept_when_given() -> None:
    drawn = {resolve(asked(seed=None)).seed for _ in range(5)}
    assert len(drawn) > 1
    assert resolve(asked(seed=7)).seed == 7


def test_reproduce_is_a_command_that_gives_the_same_plan_and_schedule() -> None:
    first = resolve(
        asked(
            seed=None,
            faults=["llm_timeout:hold=2s,count=3", "llm_timeout:count=1"],
            overrides=["storm_s=2m", "criteria.halt.limit_s=9"],
            profile="quick",
            target="reference",
        )
    )
    import shlex

    words = shlex.split(first.reproduce)
    assert words[0] == "chaos"
    options = RunOptions.parsed(build_parser().parse_args(words[1:]))
    second = resolve(
        Request(
            soak=options.soak,
            profile=options.profile,
            target=options.target,
            faults=options.fault,
            seed=options.seed,
            overrides=options.set,
            sandbox=options.sandbox,
        )
    )
    assert second == first
    assert draw(second) == draw(first)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        ("storm_s=2m", lambda plan: plan.profile.storm_s == 120.0),
        ("storm_s=40", lambda plan: plan.profile.storm_s == 40),
        ("settings.draw_interval_s=1", lambda plan: plan.profile.settings["draw_interval_s"] == 1),
        ("guardrails.run_budget_s=60", lambda plan: plan.guardrails.run_budget_s == 60),
        ("criteria.halt.limit_s=5", lambda plan: plan.criteria["halt"]["limit_s"] == 5),
        (
            "criteria.memory_growth.unit=run",
            lambda plan: plan.criteria["memory_growth"]["unit"] == "run",
        ),
    ],
)
def test_set_changes_one_value(key: str, read: Callable[[Plan], bool]) -> None:
    assert not read(resolve(asked()))
    assert read(resolve(asked(overrides=[key])))


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"soak": "soak_d"}, "", ["'soak_d'", "did you mean 'soak_c'?", "known: "]),
        ({"soak": "./nowhere.yaml"}, "", ["no such file: ./nowhere.yaml", "soak_c"]),
        ({"profile": "quik"}, "--profile", ["did you mean 'quick'?", "full, quick"]),
        ({"target": "refrence"}, "--target", ["did you mean 'reference'?"]),
        ({"faults": ["llm_timout"]}, "--fault", ["did you mean 'llm_timeout'?", "chaos faults"]),
        ({"faults": ["llm_timeout:hld=3"]}, "--fault llm_timeout", ["did you mean 'hold'?"]),
        ({"faults": ["llm_timeout:hold=x"]}, "--fault llm_timeout hold", ["not a duration"]),
        ({"faults": ["llm_timeout:hold=0"]}, "--fault llm_timeout hold", ["at least 0.5"]),
        ({"faults": ["llm_timeout:count=1.5"]}, "--fault llm_timeout count", ["whole number"]),
        ({"faults": ["llm_timeout:count=0"]}, "--fault llm_timeout count", ["at least 1"]),
        ({"faults": ["llm_timeout:count=1,count=2"]}, "--fault llm_timeout:", ["given twice"]),
        ({"faults": ["llm_timeout:count=1,period=9s"]}, "--fault llm_timeout", ["exclude"]),
        ({"faults": ["llm_timeout:"]}, "--fault llm_timeout:", ["nothing follows"]),
        ({"faults": ["llm_timeout:hold"]}, "--fault llm_timeout:hold", ["not key=value"]),
        ({"faults": [":hold=1s"]}, "--fault :hold=1s", ["name is missing"]),
        ({"faults": [""]}, "--fault", ["name is missing"]),
        ({"faults": ["none:hold=1s"]}, "--fault none:hold=1s", ["no parameters"]),
        ({"faults": ["none", "llm_timeout"]}, "--fault", ["exclude each other"]),
        ({"faults": ["none", "none"]}, "--fault", ["exclude each other"]),
        ({"seed": -1}, "--seed", ["out of range"]),
        ({"seed": 2**63}, "--seed", ["out of range"]),
        ({"overrides": ["storm_s"]}, "--set", ["not key=value"]),
        ({"overrides": ["=3"]}, "--set", ["not key=value"]),
        ({"overrides": ["strom_s=3"]}, "--set strom_s", ["did you mean 'storm_s'?"]),
        ({"overrides": ["storm_s=-3"]}, "--set storm_s", ["more than 0"]),
        ({"overrides": ["storm_s=soon"]}, "--set storm_s", ["not a duration"]),
        ({"overrides": ["storm_s="]}, "--set storm_s", ["not a number"]),
        ({"overrides": ["settings=3"]}, "--set settings", ["unknown key"]),
        ({"overrides": ["settings.draw=3"]}, "--set settings.draw", ["draw_interval_s"]),
        ({"overrides": ["criteria.haltt.limit_s=3"]}, "--set criteria.haltt.limit_s", ["'halt'?"]),
        ({"overrides": ["criteria.halt=3"]}, "--set criteria.halt", ["unknown key"]),
        ({"overrides": ["criteria.halt.limit=3"]}, "--set criteria.halt.limit", ["'limit_s'?"]),
        (
            {"overrides": ["criteria.memory_growth.unit=mile"]},
            "--set criteria.memory_growth",
            ["mile"],
        ),
        (
            {"overrides": ["guardrails.free_descriptors_min=1.5"]},
            "--set guardrails.free_descriptors_min",
            ["a whole number"],
        ),
    ],
)
def test_mistake_on_the_command_line_is_an_error_with_its_place(
    changes: dict[str, object], place: str, words: list[str]
) -> None:
    error = refused(**changes)
    assert error.place.startswith(place)
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("file", "old", "new", "key", "words"),
    [
        ("soak_c.yaml", "workload: auto", "workload: aut", "workload", "autonomous_loop"),
        ("soak_c.yaml", "target: ref", "target: rf", "target", "did you mean 'reference'?"),
        ("soak_c.yaml", "profile: quick", "profile: quik", "default_profile", "'quick'?"),
        ("soak_c.yaml", "soak: soak_c", "soak: soak_x", "soak", "the file of 'soak_c'"),
        ("soak_c.yaml", "soak: soak_c", "soak: ../x", "soak", "cannot name a soak"),
        (
            "soak_c.yaml",
            "llm_timeout: {hold: 240s",
            "llm_timout: {hold: 240s",
            "profiles.full.fault_defaults.llm_timout",
            "did you mean 'llm_timeout'?",
        ),
        (
            "soak_c.yaml",
            "llm_timeout: {hold: ",
            "llm_timeout: {hold: x",
            "profiles.quick.fault_defaults.llm_timeout hold",
            "not a duration",
        ),
        ("soak_c.yaml", "halt: {limit_s: 30}", "hlt: {limit_s: 30}", "criteria.hlt", "'halt'?"),
        ("soak_c.yaml", "halt: {limit_s: 30}", "halt: {limit: 30}", "criteria.halt", "limit_s"),
        (
            "soak_c.yaml",
            "recovery_time: {limit_s: 90}",
            "recovery_tim: {limit_s: 90}",
            "profiles.full.criteria.recovery_tim",
            "did you mean 'recovery_time'?",
        ),
        (
            "targets/reference.yaml",
            '"--interval", "{draw_interval_s}"',
            '"--interval", "{draw_intervl_s}"',
            "injector.start[4]",
            "did you mean 'draw_interval_s'?",
        ),
        (
            "targets/reference.yaml",
            'PYTHONPATH: "."',
            'PYTHONPATH: "{x}"',
            "env.PYTHONPATH",
            "placeholder",
        ),
        ("targets/reference.yaml", "target: reference", "target: other", "target", "'reference'"),
        (
            "targets/reference.yaml",
            "size_mb: 256",
            "size_mb: 8",
            "workspace.size_mb",
            "at least 16",
        ),
    ],
)
def test_mistake_in_a_file_is_an_error_with_its_line(
    broken: Callable[[str, str, str], UsageError],
    experiments: Path,
    file: str,
    old: str,
    new: str,
    key: str,
    words: str,
) -> None:
    error = broken(file, old, new)
    first_new_line = next(
        number
        for number, line in enumerate((experiments / file).read_text().splitlines(), start=1)
        if new.splitlines()[0] in line
    )
    assert f"{Path(file).name}:{first_new_line} {key}" in error.place
    assert words in str(error)


def test_soak_and_target_are_found_by_path(experiments: Path) -> None:
    soak = experiments / "soak_c.yaml"
    mine = experiments / "my_soak.yaml"
    mine.write_text(soak.read_text().replace("soak: soak_c", "soak: other_name"))
    target = experiments / "targets" / "reference.yaml"
    plan = resolve(asked(soak=str(mine), target=str(target)))
    assert plan.soak == "other_name"
    assert str(mine) in plan.reproduce
    assert f"--target {target}" in plan.reproduce


def test_pool_of_faults_makes_the_storm_long_enough() -> None:
    from chaos.faults.registry import fault_kinds

    plan = resolve(asked(pool=["all"], skip_unavailable=True))
    assert [fault.name for fault in plan.faults] == sorted(fault_kinds())
    assert plan.profile.storm_s >= sum(float(f.params.get("hold", 0)) for f in plan.faults)
    assert draw(plan).items
    short = resolve(asked(pool=["llm_timeout"]))
    assert short.profile.storm_s == resolve(asked()).profile.storm_s, "never made shorter"


def test_several_faults_make_the_storm_longer_with_a_note() -> None:
    names = ["llm_timeout", "disk_pressure", "queue_corruption"]
    plan, profile = resolve(asked(faults=names, seed=7)), resolve(asked()).profile
    assert plan.profile.storm_s > profile.storm_s == plan.profile_storm_s
    schedule = draw(plan)
    assert {item.name for item in schedule.items} == set(names)
    note = "note: the storm lasts 1 min 52 s instead of 1 min 25 s, so that all faults fit"
    assert note in head(plan, schedule) and note in full(plan, schedule)
    assert Plan.from_json(plan.to_json()) == plan


def test_storm_keeps_its_length_if_faults_fit_or_it_is_given() -> None:
    fitting = resolve(asked(faults=["llm_timeout:count=1,hold=3s", "disk_pressure:hold=3s"]))
    assert fitting.profile.storm_s == resolve(asked()).profile.storm_s
    assert "profile_storm_s" not in fitting.to_json() and "note" not in head(fitting, draw(fitting))
    names = ["llm_timeout", "disk_pressure", "queue_corruption"]
    with pytest.raises(UsageError, match="do not fit"):
        draw(resolve(asked(faults=names, overrides=["storm_s=85"])))


def test_group_without_one_of_its_kinds_is_resolved() -> None:
    names = [fault.name for fault in resolve(asked(pool=["llm_tcp,-llm_timeout"])).faults]
    assert names and "llm_timeout" not in names
    assert all(name.startswith("llm_") for name in names)


def test_kind_of_a_pool_keeps_parameters_given_separately() -> None:
    plan = resolve(asked(faults=["llm_timeout:hold=3s,count=1"], pool=["llm_tcp"]))
    named = [fault for fault in plan.faults if fault.name == "llm_timeout"]
    assert [fault.params["hold"] for fault in named] == [3.0]


def test_weight_is_not_a_parameter_of_the_occurrence() -> None:
    (fault,) = resolve(asked(faults=["llm_timeout:weight=3"])).faults
    assert fault.weight == 3 and "weight" not in fault.params


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"pool": ["everything"]}, ("everything", "all")),
        ({"pool": ["-all"]}, ("no fault is left",)),
        ({"pool": ["all"], "strikes": 0}, ("--strikes", "from 1")),
        ({"strikes": 3}, ("no fault to draw from", "--faults all")),
        ({"faults": ["none"], "strikes": 3}, ("no fault to draw from",)),
        ({"faults": ["llm_timeout:count=2"], "strikes": 3}, ("count", "weight")),
        ({"faults": ["none"], "pool": ["all"]}, ("exclude each other",)),
        (
            {"pool": ["all"], "skip_unavailable": True, "overrides": ["quiet_period_s=70"]},
            ("quiet", "quiet_every_s"),
        ),
        (
            {"pool": ["llm_timeout"], "overrides": ["quiet_period_s=50"]},
            ("does not fit between quiet", "quiet_every_s"),
        ),
    ],
)
def test_mistake_in_a_pool_of_faults_is_an_error(
    request_: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        draw(resolve(asked(**request_)))
    for word in words:
        assert word in str(caught.value)


def test_reproduce_repeats_a_pool_of_faults() -> None:
    plan = resolve(asked(pool=["llm_tcp"], strikes=4, overlap=True, overrides=["quiet_period_s=5"]))
    words = shlex.split(plan.reproduce)
    assert words[words.index("--faults") + 1] == "llm_tcp"
    assert words[words.index("--strikes") + 1] == "4"
    assert "--overlap" in words
