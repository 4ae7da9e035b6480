"""Alert rules: how they are evaluated sample by sample, and that an invalid one is rejected."""

from __future__ import annotations

import pytest

from chaos.base.errors import UsageError
from chaos.cli.main import main
from chaos.monitor.alerts import DEFAULTS, free_space_rule, parse_rule, parse_rules
from chaos.monitor.stall import Stall
from chaos.witness.base import Values


def states(text: str, *samples: Values) -> list[str]:
    """The change that each sample (one per second) causes: raised, cleared or ""."""
    rule = parse_rule(text)
    changes = [rule.evaluate(values, float(second)) for second, values in enumerate(samples)]
    return [change.state if change else "" for change in changes]


def test_a_threshold_is_raised_once_and_cleared_once() -> None:
    samples: list[Values] = [{"watcher.fds": n} for n in (5, 9, 9, 5, 9)]
    assert states("watcher.fds>8", *samples) == ["", "raised", "", "cleared", "raised"]


@pytest.mark.parametrize(
    ("rule", "value", "met"),
    [
        ("k>200MB", 200_000_000, False),
        ("k>200MB", 200_000_001, True),
        ("k>=1GiB", 2**30, True),
        ("k<1.5kB", 1499, True),
        ("k<=0.5", 0.5, True),
        ("k=3", 3, True),
        ("k!=3", 3, False),
        ("k!=ok", "ok", False),
        ("k!=ok", "down", True),
        ("k=hung", "hung", True),
        ("k>1", "down", False),
    ],
)
def test_operators_units_and_words_compare_as_documented(
    rule: str, value: float | str, met: bool
) -> None:
    assert states(rule, {"k": value}) == (["raised"] if met else [""])


def test_for_requires_the_threshold_to_be_met_without_a_break() -> None:
    bad: Values = {"llm.health": "down"}
    good: Values = {"llm.health": "ok"}
    assert states("llm.health!=ok for 2s", bad, bad, good, bad, bad, bad) == [
        "", "", "", "", "", "raised",
    ]  # fmt: skip


def test_rise_counts_from_the_first_sample_that_has_the_signal() -> None:
    samples: list[Values] = [{}, {"log.errors": 70}, {"log.errors": 70}, {"log.errors": 71}]
    assert states("rise:log.errors>0", *samples) == ["", "", "", "raised"]


def test_an_absent_signal_neither_raises_nor_clears_an_alert() -> None:
    there: Values = {"k": 9}
    assert states("k<10", {}, {}) == ["", ""]
    assert states("k>8", there, {}, there) == ["raised", "", ""]


def test_a_rule_can_require_absence() -> None:
    there: Values = {"watcher.pid": 1}
    seen = states("watcher.pid=absent for 1s", there, {}, {}, there)
    assert seen == ["", "", "raised", "cleared"]
    assert states("gpu0.used_bytes!=absent", {}, {"gpu0.used_bytes": 1}) == ["", "raised"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k",
        "k>",
        ">5",
        "k>>5",
        "k>5 for",
        "k>ok",
        "rise:k=ok",
        "k>5 for ever",
        "k > 5 6",
        "k<1TB",
    ],
)
def test_an_invalid_rule_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_rule(text)
    assert refused.value.next_step and "--alert" in refused.value.place


def test_none_removes_the_default_alerts_and_repeated_rules_count_once() -> None:
    assert [rule.text for rule in parse_rules([])] == list(DEFAULTS)
    assert [rule.text for rule in parse_rules(["none", "a>1", "a>1"])] == ["a>1"]
    assert len(parse_rules([DEFAULTS[0], "a>1"])) == len(DEFAULTS) + 1


@pytest.mark.parametrize(
    ("volume_bytes", "limit_bytes"), [(64 * 10**6, 3.2e6), (20 * 10**9, 1e9), (2 * 10**12, 5e9)]
)
def test_the_limit_of_free_space_fits_the_volume(volume_bytes: int, limit_bytes: float) -> None:
    """A volume of 64 MB never has 1 GB free; one of 2 TB is not full with 100 GB free."""
    rule = free_space_rule(volume_bytes)
    assert rule.value == limit_bytes
    assert rule.evaluate({rule.key: volume_bytes // 2}, 0.0) is None
    assert rule.evaluate({rule.key: int(limit_bytes) - 1}, 1.0) is not None


def test_the_help_lists_the_default_alerts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["monitor", "--help"])
    text = capsys.readouterr().out
    assert [rule for rule in DEFAULTS if rule not in text] == []


def test_stalled_s_grows_while_requests_wait_without_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 0.0
    monkeypatch.setattr("chaos.monitor.stall.time.monotonic", lambda: now_s)
    stall = Stall()
    measured = []
    for second, pending, lines in [(0, 0, 5), (10, 1, 5), (20, 1, 5), (30, 2, 6), (40, 2, 6)]:
        now_s = float(second)
        values: Values = {"queue.pending": pending, "queue.claimed": 0, "decisions.lines": lines}
        stall.read(values)
        measured.append(values["queue.stalled_s"])
    assert measured == [0.0, 10.0, 20.0, 0.0, 10.0]
    blind: Values = {}
    stall.read(blind)
    assert blind == {} and stall.absences()
