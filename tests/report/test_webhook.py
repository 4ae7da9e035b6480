"""--notify: one POST with the verdict, which changes nothing and tells nobody the address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.base.errors import UsageError
from chaos.base.exitcode import ExitCode
from chaos.cli.main import main
from chaos.record.rundir import RunDir
from chaos.report import webhook as module
from chaos.report.webhook import SCHEMA, Webhook, run_content
from tests.records import unpacked
from tests.report.hostile import hostile_run, judged
from tests.report.receiver import SECRET, Answer, Receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def failed(tmp_path: Path) -> RunDir:
    return judged(hostile_run(tmp_path / "hostile")).run


def test_verdict_is_sent_once_with_what_failed_and_where_to_look(
    receiver: Receiver, failed: RunDir
) -> None:
    Webhook(receiver.url).send(run_content("run", 1, failed))
    ((path, headers, sent),) = receiver.got
    assert path == f"/hook/{SECRET}?t={SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert (sent["schema"], sent["kind"], sent["exit_code"]) == (SCHEMA, "run", 1)
    assert sent["verdict"] == "fail" and sent["run_id"] == failed.run_id
    assert {finding["outcome"] for finding in sent["findings"]} >= {"fail"}
    assert all(len(finding["evidence"]) <= 1 for finding in sent["findings"])
    assert Path(sent["paths"]["run"]) == failed.path
    assert Path(sent["paths"]["json"]).is_file()


def test_run_without_a_verdict_says_so(tmp_path: Path) -> None:
    (tmp_path / "soak_b" / "x").mkdir(parents=True)
    content = run_content("run", 4, RunDir(tmp_path / "soak_b" / "x"))
    assert content["verdict"] is None and content["findings"] == []
    assert (content["soak"], content["exit_code"]) == ("soak_b", 4)


@pytest.mark.parametrize(
    ("answers", "attempts", "said"),
    [
        ([(500, {})], 2, "it answered 500"),
        ([(503, {}), (200, {})], 2, ""),
        ([(404, {})], 1, "it answered 404"),
        ([(302, {"Location": "/other"})], 1, "it answered 302"),
        ([(307, {"Location": "/other"}), (200, {})], 2, ""),
        ([(307, {"Location": "http://127.0.0.2:1/x"})], 1, "another host"),
        ([(307, {"Location": "/again"})], 3, "redirects without end"),
    ],
)
def test_what_goes_wrong_is_a_warning(
    answers: list[Answer],
    attempts: int,
    said: str,
    receiver: Receiver,
    capsys: pytest.CaptureFixture[str],
) -> None:
    receiver.answers = answers
    Webhook(receiver.url).send({})
    err = capsys.readouterr().err
    assert len(receiver.got) == attempts
    assert said in err and bool(err) == bool(said)
    assert SECRET not in err


def test_receiver_that_never_answers_is_given_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.2)
    receiver.hang = threading.Event()
    Webhook(receiver.url).send({})
    assert "was not delivered" in (err := capsys.readouterr().err)
    assert SECRET not in err


def test_nobody_listens(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    url = receiver.url
    receiver.server.server_close()
    Webhook(url).send({})
    err = capsys.readouterr().err
    assert "ConnectionError" in err and SECRET not in err


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://u:{SECRET}@h/",
        f"{SECRET}.example.org/hook",
        f"https:///{SECRET}",
        f"http://h:99999/{SECRET}",
        f"http://h/{SECRET} x",
        f"http://[::1/{SECRET}",
        "file:///etc/passwd",
    ],
)
def test_unusable_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Webhook(url)
    assert caught.value.place == "--notify" and SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [["run", "soak_b", "--dry-run"], ["gate", "--dry-run"], ["canary"], ["replay", "nowhere"]],
)
def test_address_is_checked_before_anything_starts(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--notify", f"ftp://u:{SECRET}@h/"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "--notify: the URL must begin with" in err and SECRET not in err


@pytest.mark.parametrize("words", [["--notify", SECRET], [f"--notify={SECRET}"]])
def test_address_is_not_recorded_with_the_command_line(words: list[str]) -> None:
    from chaos.cli.main import _for_the_record

    kept = _for_the_record(["run", "soak_b", *words, "--seed", "7"])
    assert SECRET not in " ".join(kept) and kept[-2:] == ["--seed", "7"]


def test_recorded_run_that_passed_has_no_findings_to_tell(tmp_path: Path) -> None:
    run = unpacked("soak_b_llm_timeout", tmp_path)
    assert main(["check", str(run.path), "--quiet"]) == ExitCode.PASS
    content = run_content("run", 0, run)
    assert content["verdict"] == "pass" and content["findings"] == []


def test_gate_tells_its_end_its_steps_and_what_failed(
    receiver: Receiver, bench_of: Callable[..., int]
) -> None:
    assert bench_of({"soak_c clean": "fail"}, notify=receiver.url) == ExitCode.FAIL
    ((_, _, sent),) = receiver.got
    assert (sent["kind"], sent["verdict"], sent["exit_code"]) == ("gate", "NEEDS FIXES", 1)
    assert [step["verdict"] for step in sent["steps"]].count("fail") == 1
    assert [finding["step"] for finding in sent["findings"]] == ["soak_c clean"]


@pytest.fixture
def bench_of(tmp_path: Path) -> Callable[..., int]:
    """Runs a gate with scripted verdicts of its steps."""
    from tests.gate.standin import Bench, ScriptedRunner

    bench = Bench(tmp_path)
    return lambda words, **options: bench.begin(ScriptedRunner(words), **options)
