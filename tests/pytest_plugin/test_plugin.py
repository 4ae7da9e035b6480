"""The pytest plugin, in sessions of its own: a verdict becomes the outcome of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import chaos
import chaos.record.database  # a second import of its library in one process would end it
from chaos.assets.cache import cache_dir
from chaos.base.exitcode import ExitCode
from chaos.record.rundir import RunDir
from tests.checks.history_builder import PlantedRun
from tests.integration.command import BRIEF
from tests.records import unpacked

pytest_plugins = ["pytester"]
CACHE = cache_dir()  # before a test gets another home
PLUGIN = ("-p", "chaos.pytest_plugin", "-p", "no:cacheprovider")
# Stands for `chaos.run`: opens a run that was recorded, instead of making one.
RECORDED = """
import chaos
from chaos.base.errors import UsageError

asked = []

def run(soak, *, runs, **options):
    asked.append((soak, runs, options))
    if soak == "soak_x":
        raise UsageError("unknown soak 'soak_x'", next_step="chaos soaks")
    return chaos.open_run({path!r})

chaos.run = run
"""


@pytest.fixture(autouse=True)
def run_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sessions run in this process, where their stand-in replaces `chaos.run`.

    They load the plugin by its module, whether or not its entry point is installed here.
    """
    monkeypatch.setattr(chaos, "run", chaos.run)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def session(pytester: pytest.Pytester, run: Path, test: str, *words: str) -> pytest.RunResult:
    """A pytest session with one file of tests, where each run is `run`."""
    pytester.makeconftest(RECORDED.format(path=str(run)))
    pytester.makepyfile(f"import pytest\n{test}")
    path = pytester.path.joinpath("out.xml")
    return pytester.runpytest_inprocess(*PLUGIN, f"--junitxml={path}", *words)


@pytest.fixture
def passed(tmp_path: Path) -> RunDir:
    return unpacked("soak_b_llm_timeout", tmp_path)


@pytest.fixture
def failed(tmp_path: Path) -> RunDir:
    return unpacked("soak_b_misroutes", tmp_path)


def test_test_gets_the_opened_run_of_its_marker(pytester: pytest.Pytester, passed: RunDir) -> None:
    done = session(
        pytester,
        passed.path,
        """
        from conftest import asked

        @pytest.mark.chaos(soak="soak_b", faults=["llm_timeout"], seed=7, profile="quick")
        def test_it(chaos_run, tmp_path):
            assert chaos_run.verdict.verdict == "pass"
            assert chaos_run.sql("select count(*) from decisions")[0][0] == 10
            expected = {"faults": ["llm_timeout"], "seed": 7, "profile": "quick"}
            assert asked == [("soak_b", tmp_path / "runs", expected)]
        """.replace("\n        ", "\n"),
    )
    done.assert_outcomes(passed=1)
    assert str(passed.path) in (pytester.path / "out.xml").read_text()


def test_failing_verdict_fails_the_test_with_its_findings(
    pytester: pytest.Pytester, failed: RunDir
) -> None:
    done = session(
        pytester,
        failed.path,
        '@pytest.mark.chaos("soak_b")\ndef test_it(): raise RuntimeError("the body ran")\n',
    )
    done.assert_outcomes(failed=1)
    text = done.stdout.str()
    for said in (
        "THE WATCHER DID NOT WITHSTAND THIS: failed: Correct routing",
        "fail: Correct routing",
        "artefacts/watcher_decisions.jsonl:",
        f"report:    {failed.path}",
        "reproduce: chaos run soak_b",
    ):
        assert said in text, said
    assert "the body ran" not in text and "pytest_plugin.py" not in text


def test_test_may_judge_by_itself(pytester: pytest.Pytester, failed: RunDir) -> None:
    done = session(
        pytester,
        failed.path,
        '@pytest.mark.chaos("soak_b", judged=False)\n'
        "def test_it(chaos_run): assert chaos_run.verdict.exit_code == 1\n",
    )
    done.assert_outcomes(passed=1)


def test_unproven_run_fails_with_another_headline(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    planted = PlantedRun(tmp_path / "run")
    planted.config["criteria"] = {"convergence": {"min_rise": 0.01}}
    planted.config["target"]["records"]["predictions"] = None
    run = planted.write()
    done = session(pytester, run.path, '@pytest.mark.chaos("soak_c")\ndef test_it(): pass\n')
    done.assert_outcomes(failed=1)
    assert "NOT PROVEN: open: " in done.stdout.str()


def test_invalid_run_is_an_error_and_no_failure(pytester: pytest.Pytester, tmp_path: Path) -> None:
    planted = PlantedRun(tmp_path / "run")
    planted.config["criteria"] = {"no_such_check": {}}
    run = planted.write()
    done = session(pytester, run.path, '@pytest.mark.chaos("soak_c")\ndef test_it(): pass\n')
    done.assert_outcomes(errors=1)
    assert "THE RUN SAYS NOTHING: because of: no_such_check" in done.stdout.str()


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('@pytest.mark.chaos("soak_x")', "chaos: unknown soak 'soak_x'"),
        ("@pytest.mark.chaos()", "missing 1 required positional argument: 'soak'"),
        ("", "the fixture chaos_run needs @pytest.mark.chaos("),
    ],
)
def test_wrong_use_is_an_error(
    marker: str, said: str, pytester: pytest.Pytester, passed: RunDir
) -> None:
    done = session(pytester, passed.path, f"{marker}\ndef test_it(chaos_run): pass\n")
    done.assert_outcomes(errors=1)
    assert said in done.stdout.str()


def test_runs_are_stored_where_the_command_line_says(
    pytester: pytest.Pytester, passed: RunDir
) -> None:
    test = (
        "from conftest import asked\n"
        '@pytest.mark.chaos("soak_b")\ndef test_it(): assert str(asked[0][1]) == "kept"\n'
    )
    session(pytester, passed.path, test, "--chaos-runs", "kept").assert_outcomes(passed=1)


def test_plugin_is_cheap_to_load() -> None:
    """Every pytest session of an environment loads it."""
    code = (
        "import sys, pytest; before = set(sys.modules); import chaos.pytest_plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout
    assert "chaos.pytest_plugin" in loaded
    assert "chaos.runner" not in loaded and "chaos.checks" not in loaded
    for heavy in ("duckdb", "rich", "msgspec", "numpy", "yaml", "requests"):
        assert f"'{heavy}" not in loaded, heavy


@pytest.mark.stack
@pytest.mark.whole_run
@pytest.mark.slow(seconds=60)
def test_real_run_of_a_marked_test(
    pytester: pytest.Pytester, assets: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOS_CACHE", str(CACHE))
    lengths = [f"{key}={BRIEF[key]}" for key in ("baseline_s", "storm_s", "quiet_s")]
    pytester.makepyfile(
        "import pytest\n"
        f'@pytest.mark.chaos("soak_b", seed=7, overrides={lengths!r})\n'
        "def test_it(chaos_run):\n"
        "    assert chaos_run.sql('select count(*) from decisions') == [(10,)]\n"
    )
    done = pytester.runpytest_subprocess(*PLUGIN, "--chaos-runs", str(pytester.path / "runs"))
    assert done.ret == ExitCode.PASS
    done.assert_outcomes(passed=1)
