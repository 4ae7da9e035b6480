"""The command line: help, listings, dry runs, exit codes, and no tracebacks."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.base.exitcode import ExitCode
from chaos.cli.main import _COMMANDS, main
from chaos.report.display import Display

REPO = Path(__file__).resolve().parents[2]


def chaos(*words: str, cwd: Path = REPO) -> subprocess.CompletedProcess[str]:
    """The command as a user runs it."""
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "chaos", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# A scale of its own, so that tuning the shipped profile changes no hash here.
GOLDEN = ["run", "soak_c", "--fault", "llm_timeout:hold=14s,count=2", "--seed", "12345"]
GOLDEN += ["--set", "storm_s=85", "--set", "criteria.heuristic_fallbacks.allowance_s=10"]
GOLDEN_HASH = "8d68792f63db7e27"

BAD_INPUT = [
    (
        ["rnu"],
        ["unknown command 'rnu'", "did you mean 'run'?", f"all {len(_COMMANDS)}: chaos --help"],
    ),
    (["run"], ["which soak?", "soak_c"]),
    (["completion", "tcsh"], ["error: shell: unknown value 'tcsh'", "known: bash, fish, zsh"]),
    (["run", "soak_d"], ["unknown soak 'soak_d'", "did you mean 'soak_c'?", "known: "]),
    (["run", "soak_c", "--fault", "llm_timout"], ["--fault: unknown fault", "'llm_timeout'?"]),
    (["run", "soak_c", "--fault", "xyzzy"], ["unknown fault 'xyzzy'", ": chaos faults"]),
    (["run", "soak_c", "--fault", "llm_timeout:hld=3s"], ["parameter of llm_timeout", "'hold'?"]),
    (["run", "soak_c", "--fault", "llm_timeout:hold=1h"], ["do not fit", "= 2 h", "storm"]),
    (["run", "soak_c", "--profile", "ful"], ["--profile: unknown profile", "'full'?"]),
    (["run", "soak_c", "--target", "refernce"], ["--target: unknown target", "'reference'?"]),
    (["run", "soak_c", "--sed", "4"], ["unknown option '--sed'", "did you mean '--seed'?"]),
    (["run", "soak_c", "--seed=x"], ["--seed", "'x' is not a whole number"]),
    (["run", "soak_c", "--seed"], ["--seed", "expected one argument"]),
    (
        ["run", "soak_c", "--sandbox", "box"],
        ["--sandbox: unknown value 'box'", "known: namespaces"],
    ),
    (["run", "soak_c", "--backend", "Dokcer"], ["--backend: unknown value", "mean 'docker'?"]),
    (["report", "x", "--format", "htm"], ["--format: unknown value 'htm'", "mean 'html'?"]),
    (["run", "soak_c", "soak_a"], ["unexpected argument 'soak_a'"]),
    (["check"], ["RUN"]),
    (["check", "nowhere"], ["no run at 'nowhere'"]),
    (["check", "latest", "--runs", "/nonexistent"], ["no run at 'latest'"]),
    (["check", "a" * 5000], ["cannot look there: File name too long", "aaa...", "next:"]),
    (["triage", "a" * 5000], ["File name too long"]),
    (["gate", "--dry-run", "--resume", "a" * 5000], ["File name too long"]),
    (["check", "latest", "--runs", "a" * 5000], ["a path is too long", "aaa...", "next:"]),
    (["check", "latest", "--runs", ""], ["--runs: an empty value"]),
    (["report", "--format", "html", "--out", "", "latest"], ["--out: an empty value"]),
    (["run", "soak_c", "--faults", "-gpu"], ["--faults: expected one", "--faults=-gpu, with ="]),
    (["--versoin"], ["unknown option '--versoin'", "--version"]),
]


@pytest.mark.parametrize(("words", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:40])
def test_bad_input_is_explained_and_exits_2(
    words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("chaos: error: ")
    assert "\n  next: " in err
    for text in said:
        assert text in err


def test_a_typo_names_the_nearest_few_and_never_the_whole_catalogue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "soak_c", "--fault", "LLM_timout"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "did you mean 'llm_timeout'? also near: " in err and ": chaos faults" in err
    assert len(err) < 200


@pytest.mark.parametrize(
    ("words", "said"),
    [BAD_INPUT[0], BAD_INPUT[2], BAD_INPUT[3], BAD_INPUT[5]],
    ids=lambda value: " ".join(value)[:40],
)
def test_bad_input_as_a_process(words: list[str], said: list[str], tmp_path: Path) -> None:
    """The same in a real process: its exit code is 2, and there is no traceback."""
    done = chaos(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for text in said:
        assert text in done.stderr
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_a_broken_file_is_explained_with_file_line_and_key(tmp_path: Path) -> None:
    text = (REPO / "experiments" / "soak_c.yaml").read_text()
    line = text[: text.index("storm_s: ")].count("\n") + 1
    (tmp_path / "mine.yaml").write_text(re.sub(r"storm_s: \d+", "storm_s: long", text, count=1))
    done = chaos("run", "./mine.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert f"mine.yaml:{line} profiles.quick.storm_s: 'long' is not a number" in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_for_machines_are_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "soak_d", "--json"]) == ExitCode.USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["exit_code"] == 2
    assert error["message"] == "unknown soak 'soak_d'"


def test_dry_run_shows_plan_and_schedule_and_starts_nothing(tmp_path: Path) -> None:
    done = chaos(*GOLDEN, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("seed 12345", GOLDEN_HASH, "f001", "13.936 s", "heuristic_fallbacks"):
        assert text in done.stdout
    assert "reproduce: chaos run soak_c --profile quick --fault llm_timeout:" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_quiet_dry_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GOLDEN, "--dry-run", "-q"]) == ExitCode.PASS
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for text in ("soak_c: ", "llm_timeout", "seed 12345", GOLDEN_HASH, "2 fault(s)"):
        assert text in line


def test_dry_run_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GOLDEN, "--dry-run", "--json"]) == ExitCode.PASS
    content = json.loads(capsys.readouterr().out)
    assert content["schedule"]["hash"] == GOLDEN_HASH
    assert content["plan"]["seed"] == 12345


def test_a_random_seed_is_printed_so_that_the_run_can_be_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The printed random seed gives the same schedule hash again."""
    words = ["run", "soak_c", "--fault", "llm_timeout", "--dry-run"]
    assert main(words) == ExitCode.PASS
    first = capsys.readouterr().out
    seed = re.search(r"seed (\d+) \| schedule ([0-9a-f]{16})", first)
    assert seed is not None
    assert main([*words, "--seed", seed[1]]) == ExitCode.PASS
    assert capsys.readouterr().out == first


def test_the_dry_run_of_a_clean_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "soak_c", "--dry-run"]) == ExitCode.PASS
    assert "a clean run" in capsys.readouterr().out
    assert main(["run", "soak_c", "--fault", "none", "--dry-run"]) == ExitCode.PASS
    assert "the control" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]])
def test_help_has_examples_and_lists_every_exit_code(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "chaos run soak_c --fault llm_timeout" in out
    for code in ExitCode:
        assert re.search(rf"^  {int(code)} +\S", out, re.MULTILINE), code


def test_every_example_in_the_help_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    """Each example that names shipped files resolves."""
    from chaos.cli.main import _EXAMPLES
    from chaos.cli.options import RunOptions

    commands = re.findall(r"^  chaos (run soak_\S+[^|\n]*?)(?:  .*|\|.*)?$", _EXAMPLES, re.M)
    commands += re.findall(
        r"^  chaos (run soak_\S+[^|\n]*?)(?:  .*|\|.*)?$", RunOptions.EPILOG, re.M
    )
    assert len(commands) >= 6
    for command in commands:
        assert main([*command.split(), "--dry-run"]) == ExitCode.PASS, command
    capsys.readouterr()


def test_help_imports_no_library() -> None:
    """`chaos --help` must answer at once: only the standard library is loaded for it."""
    heavy = ("rich", "msgspec", "requests", "numpy", "yaml", "psutil", "loguru", "docker")
    code = (
        "import sys\n"
        "from chaos.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.strip() == "[]"


def test_no_command_prints_the_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == ExitCode.USAGE
    assert "examples:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ExitCode.PASS
    assert re.fullmatch(r"chaos \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_listings_agree_with_their_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The text lists everything that the JSON lists."""
    assert main(["faults", "--json"]) == ExitCode.PASS
    faults = json.loads(capsys.readouterr().out)
    assert main(["faults"]) == ExitCode.PASS
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for fault in faults:
        assert fault["name"] in text
        assert main(["faults", fault["name"]]) == ExitCode.PASS
        details = capsys.readouterr().out
        assert max(map(len, details.splitlines())) <= 80
        assert all(param["name"] in details for param in fault["params"])
        assert fault["triage_path"] in details
    assert main(["soaks", "--json"]) == ExitCode.PASS
    soaks = json.loads(capsys.readouterr().out)
    assert main(["soaks"]) == ExitCode.PASS
    text = capsys.readouterr().out
    for soak in soaks["soaks"]:
        assert soak["soak"] in text
        assert all(profile in text for profile in soak["profiles"])


def test_the_catalogue_in_the_docs_is_that_of_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Renewed by `chaos faults --markdown > docs/faults.md`."""
    assert main(["faults", "--markdown"]) == ExitCode.PASS
    assert (REPO / "docs" / "faults.md").read_text(encoding="utf-8") == capsys.readouterr().out


def test_the_guide_has_the_table_of_keys_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    """Renewed by `chaos soaks --checks`."""
    assert main(["soaks", "--checks"]) == ExitCode.PASS
    assert capsys.readouterr().out in (REPO / "docs" / "own-daemon.md").read_text(encoding="utf-8")


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    """`chaos faults | head -0`: the closed pipe is the reader's decision, not an error."""
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")]))
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "chaos", "faults"],
            env={**os.environ, "PYTHONPATH": path},
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == ExitCode.PASS


def test_ctrl_c_before_the_start_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stands in for the signal: the interrupt arrives while the plan is resolved."""

    def interrupted(_request: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chaos.runner.resolve.resolve", interrupted)
    assert main(["run", "soak_c"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "chaos: interrupted\n"


def test_a_defect_of_the_harness_is_never_blamed_on_the_watcher(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's own exit code for a traceback is 1, which means `fail` here."""

    def broken(_request: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("chaos.runner.resolve.resolve", broken)
    assert main(["run", "soak_c"]) == ExitCode.INVALID
    assert "a defect of chaos itself" in capsys.readouterr().err


def test_a_full_disk_while_preparing_is_the_infrastructures_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ENOSPC stands in for a full disk, and nothing for the assets: none is used by then."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("chaos.assets.ensure", lambda _progress: None)
    monkeypatch.setattr("chaos.record.rundir.RunDir.write_json", full)
    words = ["run", "soak_c", "--sandbox", "none", "--runs", str(tmp_path)]
    assert main(words) == ExitCode.INVALID
    err = capsys.readouterr().err
    assert "cannot write the run directory: No space left on device" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "terminal", "term", "ci", "mode"),
    [
        ({}, True, "xterm", "", "live"),
        ({}, True, "dumb", "", "lines"),
        ({}, True, "xterm", "true", "lines"),
        ({}, False, "xterm", "", "lines"),
        ({"quiet": True}, True, "xterm", "", "quiet"),
        ({"json": True}, True, "xterm", "", "json"),
        ({"json": True, "quiet": True}, True, "xterm", "", "json"),
    ],
)
def test_the_display_mode_depends_on_options_and_terminal(
    options: dict[str, bool],
    terminal: bool,
    term: str,
    ci: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert Display.chosen(**options).mode == mode


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["run", "soak_c", "--target", "", "--dry-run"], "--target"),
        (["run", "soak_c", "--target=", "--dry-run"], "--target"),
        (["run", "soak_c", "--profile", "", "--dry-run"], "--profile"),
        (["run", "soak_c", "--runs", "", "--dry-run"], "--runs"),
        (["run", "", "--dry-run"], "chaos run"),
        (["run", "--overlap", "", "--dry-run"], "chaos run"),
        (["gate", "--target", "", "--dry-run"], "--target"),
        (["gate", "--profile=", "--dry-run"], "--profile"),
        (["gate", "--config", "", "--dry-run"], "--config"),
        (["clean", ""], "chaos clean"),
        (["check", ""], "chaos check"),
    ],
)
def test_an_empty_argument_is_refused(
    words: list[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--target "$UNSET"` in CI would judge another Watcher, `clean "$UNSET"` clean every run."""
    assert main(words) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith(f"chaos: error: {place}: an empty value")


def test_a_value_may_hold_an_equals_sign_and_an_option_may_be_left_out() -> None:
    assert main(["run", "soak_c", "--set=storm_s=90", "--dry-run", "--quiet"]) == ExitCode.PASS
