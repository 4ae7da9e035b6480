"""The result of a sweep: exit code, text and JUnit follow its outcomes, and the state is kept."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chaos.base.errors import UsageError
from chaos.sweep.command import exit_code
from chaos.sweep.junit import sweep_junit
from chaos.sweep.page import sweep_page
from chaos.sweep.points import Point
from chaos.sweep.request import Break
from chaos.sweep.state import Asked, Outcome, Result, Sweep, begin, find_sweep
from chaos.sweep.text import final_text

ASKED = Asked(
    target=None,
    work=("selfplay",),
    kinds=("crash",),
    errors=(),
    sample=None,
    chosen=(),
    seed=7,
)
POINTS = [Point(n, "selfplay", "fsync", f"f{n}", 1, f"f{n}", "daemon", n / 10) for n in (1, 2, 3)]


def _sweep(folder: Path, *outcomes: Outcome) -> tuple[Path, Sweep]:
    place, sweep = begin(ASKED, folder)
    sweep.points = POINTS
    sweep.state = "complete"
    for point, outcome in zip(POINTS, outcomes, strict=False):
        found = ["Exactly once: lost"] if outcome == "failed" else []
        sweep.results.append(
            Result(
                point=point.number,
                kind="crash",
                error="",
                outcome=outcome,
                reason="because",
                run="sweep_point/x",
                lasted_s=9.0,
                findings=found,
            )
        )
    place.write(sweep)
    return place.path, sweep


@pytest.mark.parametrize(
    ("outcomes", "code", "word"),
    [
        (("survived", "survived"), 0, "✓ SURVIVED"),
        (("survived", "failed"), 1, "✗ NOT CRASH-SAFE"),
        (("invalid", "failed"), 1, "✗ NOT CRASH-SAFE"),
        (("survived", "not reached"), 3, "? NOT PROVEN"),
        (("survived", "unverified"), 3, "? NOT PROVEN"),
        (("survived", "invalid"), 4, "? NOT PROVEN"),
        ((), 3, "? NOT FINISHED"),
    ],
)
def test_the_worst_outcome_decides(
    tmp_path: Path, outcomes: tuple[Outcome, ...], code: int, word: str
) -> None:
    _, sweep = _sweep(tmp_path, *outcomes)
    assert exit_code(sweep) == code
    folder = find_sweep("latest", tmp_path)
    text = final_text(folder, sweep, code)
    assert word in text
    assert ("fsync f2" in text) is ((*outcomes, "survived", "survived")[1] != "survived")


def test_the_page_has_a_mark_for_each_break_and_the_command_that_repeats_it(
    tmp_path: Path,
) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    _, sweep = _sweep(tmp_path, "survived", "failed", "not reached")
    sweep.results[1].findings = [hostile]
    page = sweep_page(find_sweep("latest", tmp_path), sweep, 1)
    assert hostile not in page and "&lt;img" in page
    assert "NOT CRASH-SAFE" in page
    assert page.count('class="mark pass"') == page.count('class="mark fail"') == 2
    assert "chaos sweep --point 2 --kind crash --work selfplay --seed 7" in page
    assert "http://" not in page and "https://" not in page.replace("https://github", "")


def test_only_a_proven_failure_is_a_failure_in_junit(tmp_path: Path) -> None:
    _, sweep = _sweep(tmp_path, "survived", "failed", "not reached")
    suite = ET.fromstring(sweep_junit(sweep)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    sweep.state = "interrupted"
    suite = ET.fromstring(sweep_junit(sweep)).find("testsuite")
    assert suite is not None and suite.get("errors") == "2"


def test_a_kept_sweep_knows_what_is_done(tmp_path: Path) -> None:
    path, _ = _sweep(tmp_path, "survived")
    again = find_sweep(str(path), tmp_path).read()
    assert again.done(Break(POINTS[0], "crash"))
    assert not again.done(Break(POINTS[1], "crash"))
    assert not again.done(Break(POINTS[0], "crash_all"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sweep_id": 1}'])
def test_a_damaged_state_is_called_so(tmp_path: Path, content: str) -> None:
    path, _ = _sweep(tmp_path)
    (path / "sweep.json").write_text(content)
    with pytest.raises(UsageError, match="not the state of a sweep"):
        find_sweep("latest", tmp_path).read()
