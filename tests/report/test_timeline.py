"""The timeline: what is drawn of a run, which evidence is marked, and when evidence happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from chaos.checks.finding import Evidence, Finding
from chaos.record.open_run import OpenRun
from chaos.report.course import course_of
from chaos.report.marks import Mark, lies_unknown, lying_decisions, marks_of
from chaos.report.moments import moment_of
from chaos.report.timeline import Timeline, clock_text, clustered, nice_step, timeline_of
from tests.checks.history_builder import FAULTS, PlantedRun
from tests.report.hostile import judged
from tests.report.lying import lying_run


def drawn(run: PlantedRun) -> Timeline:
    stored = judged(run)
    with OpenRun(stored.run) as opened:
        return timeline_of(course_of(opened, stored.verdict))


def test_a_decision_that_lied_is_drawn_as_a_lie(tmp_path: Path) -> None:
    timeline = drawn(lying_run(tmp_path / "run"))
    assert timeline.svg.count('class="lie"') == 1
    assert "lie" in dict(timeline.legend)


def test_a_fallback_that_says_so_is_no_lie(tmp_path: Path) -> None:
    timeline = drawn(PlantedRun(tmp_path / "run"))
    assert 'class="lie"' not in timeline.svg
    assert "lie" not in dict(timeline.legend)
    assert 'class="warn"' in timeline.svg
    assert timeline.places == {}


def test_a_decision_that_a_witness_disproves_is_a_lie(tmp_path: Path) -> None:
    stored = judged(PlantedRun(tmp_path / "run"))
    ref = "artefacts/watcher_decisions.jsonl:3"
    finding = Finding(
        outcome="fail",
        summary="1 of 9",
        check="answers_witnessed",
        title="Answers witnessed",
        evidence=[Evidence(ref, "never came"), Evidence("witness.jsonl:4", "no decision")],
        evidence_count=5,
    )
    verdict = replace(stored.verdict, findings=[finding])
    with OpenRun(stored.run) as run:
        assert [lie[0] for lie in lying_decisions(run, verdict)] == [ref]
        passing = replace(verdict, findings=[replace(finding, outcome="pass")])
        assert lying_decisions(run, passing) == []
    assert lies_unknown(verdict) == 3


def test_failing_evidence_is_numbered_by_time_and_linked(tmp_path: Path) -> None:
    stored = judged(lying_run(tmp_path / "run"))
    with OpenRun(stored.run) as run:
        marks = marks_of(run, stored.verdict)
        timeline = timeline_of(course_of(run, stored.verdict))
    assert [mark.number for mark in marks] == list(range(1, len(marks) + 1))
    assert [mark.t_s for mark in marks] == sorted(mark.t_s for mark in marks)
    assert FAULTS[0][0] - 5 <= marks[0].t_s <= FAULTS[0][1]
    assert set(timeline.places) == {mark.anchor for mark in marks}
    for anchor in timeline.places.values():
        assert f'id="{anchor}"' in timeline.svg


def test_neighbouring_evidence_shares_a_marker() -> None:
    marks = [Mark(n, t_s, f"e{n}", "", "") for n, t_s in enumerate((1, 2, 3, 50, 90), start=1)]
    found = clustered(marks, 100.0)
    assert [marker.label for marker in found] == ["1\N{EN DASH}3", "4", "5"]
    assert sum(len(marker.marks) for marker in found) == len(marks)


def test_names_in_the_drawing_are_escaped(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run")
    for record in run.records:
        if record["kind"] == "fault":
            record["name"] = "<b>\x1b\"'"
    for item in run.schedule["items"]:
        item["name"] = "<b>\x1b\"'"
    svg = drawn(run).svg
    assert "<b>" not in svg
    assert "&lt;b&gt;\\x1b&#34;&#39;" in svg


def test_the_drawing_of_a_run_without_anything_is_whole(tmp_path: Path) -> None:
    run = PlantedRun(tmp_path / "run", cuts=())
    run.cut_off(1.0)
    svg = drawn(run).svg
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert "nan" not in svg and "inf" not in svg


def test_evidence_has_the_moment_of_what_it_refers_to(tmp_path: Path) -> None:
    planted = PlantedRun(tmp_path / "run")
    stored = judged(planted)
    lines = stored.run.history.read_text().splitlines()
    with OpenRun(stored.run) as run:
        for kind in ("phase", "op", "sample", "event", "fault"):
            number, record = next(
                (n, json.loads(line))
                for n, line in enumerate(lines, start=1)
                if f'"kind":"{kind}"' in line.replace(" ", "")
            )
            assert moment_of(run, f"history.jsonl:{number}") == record["t_s"], kind
        (start_s,) = run.sql("select start_s from decisions where line = 2")[0]
        assert moment_of(run, "artefacts/watcher_decisions.jsonl:2") == pytest.approx(start_s)
        ref, started_s = run.sql("select server_ref(line), t_s from servers order by line")[0]
        assert moment_of(run, ref) == started_s
        name = next(iter(planted.diagnostics))
        at_s = moment_of(run, f"artefacts/diagnostics_history/{name}")
        assert at_s is not None and 2 < at_s < 10
        request = planted.folders["archive"][0]
        ref = f"artefacts/watcher_requests/archive/{request}"
        assert moment_of(run, ref) is not None
        for ref in (
            "logs/watcher.log:1",
            "history.jsonl",
            "history.jsonl:99999",
            "gone:1",
            ":",
            "",
        ):
            assert moment_of(run, ref) is None


def test_an_axis_counts_as_people_do() -> None:
    assert [nice_step(s) for s in (0.1, 3, 11, 100, 1300, 200_000)] == [
        1,
        5,
        15,
        120,
        1800,
        259_200,
    ]
    assert [clock_text(t, 300) for t in (0, 150)] == ["0 s", "150 s"]
    times = [clock_text(t, 100_000) for t in (0, 150, 5400, 100_000)]
    assert times == ["0:00 min", "2:30 min", "1:30 h", "27:46 h"]
