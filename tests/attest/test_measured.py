"""The rates that are attested are those of the track record, and one generator writes both."""

from __future__ import annotations

import re
from pathlib import Path

from chaos.attest.measured import FILE, measured_text, read_measured
from chaos.attest.statement import Measured
from tests.planted.table import DEFECTS, HEALTHY
from tests.truth_table import PAGE, Judged, page, totals


def headline(text: str) -> Measured:
    found = re.search(
        r"\*\*(\d+) of (\d+) defects caught, the cause right for (\d+) of\s+these; (\d+) of (\d+) "
        r"healthy Watchers accused\.\*\*",
        text,
    )
    assert found is not None
    caught, defects, causes_right, accused, healthy = map(int, found.groups())
    return Measured(
        defects=defects,
        caught=caught,
        causes_right=causes_right,
        healthy=healthy,
        accused=accused,
    )


def test_track_record_and_attested_totals_agree() -> None:
    stated = headline(PAGE.read_text(encoding="utf-8"))
    assert FILE.read_text(encoding="utf-8") == measured_text(stated)
    rates = read_measured()
    assert rates.detection_rate == round(stated.caught / stated.defects, 4)
    assert rates.false_alarm_rate == round(stated.accused / stated.healthy, 4)


def test_missed_defect_and_accused_watcher_lower_the_rates(tmp_path: Path) -> None:
    seen = [one for one in DEFECTS if one.checks and one.causes][:3]
    good = [Judged(one, 1, frozenset(one.checks), (sorted(one.causes)[0],), "") for one in seen[:2]]
    missed = Judged(seen[2], 0, frozenset(), (), "")
    left_alone = Judged(HEALTHY[0], 0, frozenset(), (), "")
    accused = Judged(HEALTHY[1], 1, frozenset({"errors"}), (), "")
    results = [*good, missed, left_alone, accused]
    found = totals(results)
    assert found == Measured(defects=3, caught=2, causes_right=2, healthy=2, accused=1)
    assert headline(page(results)) == found
