"""The schedule: repeatable for ever, within the storm, never overlapping."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest

from chaos.base.errors import UsageError
from chaos.plan.plan import FaultPlan, Plan
from chaos.plan.schedule import LEAD_MS, Schedule, draw, quiet_periods_ms, storm_needed_s
from chaos.plan.stream import Stream
from chaos.runner.resolve import Request, resolve

SEEDS = range(150)


def planned(*faults: str, seed: int = 12345, storm_s: float = 85) -> Plan:
    """A plan whose scale does not depend on how the shipped profile is tuned."""
    scale = [f"storm_s={storm_s:g}", "criteria.heuristic_fallbacks.allowance_s=10"]
    return resolve(Request("soak_c", faults=faults, seed=seed, overrides=scale))


def reseeded(plan: Plan, seed: int) -> Plan:
    return msgspec.structs.replace(plan, seed=seed)


def test_schedule_equals_the_golden_one() -> None:
    """A seed written down today gives these moments in every later version, on every machine."""
    schedule = draw(planned("llm_timeout:hold=14s,count=2"))
    assert [(i.fault_id, i.start_ms, i.hold_ms) for i in schedule.items] == [
        ("f001", 13936, 14000),
        ("f002", 49873, 14000),
    ]
    assert schedule.hash == "8d68792f63db7e27"


def test_schedule_by_period_equals_the_golden_one() -> None:
    schedule = draw(planned("llm_timeout:period=40s,hold=14s", "llm_timeout:hold=3s,count=1"))
    assert [(i.start_ms, i.hold_ms) for i in schedule.items] == [
        (5986, 14000),
        (33054, 3000),
        (47674, 14000),
    ]
    assert schedule.hash == "fe2a179b4c764170"


def test_stream_equals_the_golden_one() -> None:
    """The stream is SHA-256 of a counter: checked against the definition, not against itself."""
    import hashlib

    block = hashlib.sha256(b"chaos-schedule-1:7:0").digest()
    first = int.from_bytes(block[:8], "big")
    second = int.from_bytes(block[8:16], "big")
    stream = Stream(7)
    assert (stream.below(2**64), stream.below(2**64)) == (first, second)


def test_stream_is_uniform() -> None:
    """Each of 7 values within 5 standard deviations of its share of 7000."""
    stream = Stream(3)
    counts = Counter(stream.below(7) for _ in range(7000))
    assert set(counts) == set(range(7))
    assert all(
        abs(count - 1000) < 5 * (7000 * (1 / 7) * (6 / 7)) ** 0.5 for count in counts.values()
    )


@pytest.mark.parametrize(
    "faults",
    [
        ("llm_timeout:hold=14s,count=2",),
        ("llm_timeout:hold=500ms,count=7",),
        ("llm_timeout:hold=1s,period=20s",),
        ("llm_timeout:hold=3s,period=40s", "llm_timeout:hold=2s,count=2"),
        ("llm_timeout:hold=5s,count=2", "llm_timeout:hold=10s,count=2"),
    ],
)
def test_every_seed_keeps_the_rules(faults: tuple[str, ...]) -> None:
    """Inside the storm, ordered, at least the gap apart, all occurrences there, any seed."""
    plan = planned(*faults)
    expected = sorted(
        round(float(fault.params["hold"]) * 1000)
        for fault in plan.faults
        for _ in range(
            int(fault.params.get("count", 0)) or int(85 // float(fault.params["period"]))
        )
    )
    for seed in SEEDS:
        schedule = draw(reseeded(plan, seed))
        items = schedule.items
        assert sorted(item.hold_ms for item in items) == expected
        assert [item.fault_id for item in items] == [f"f{n:03d}" for n in range(1, len(items) + 1)]
        assert items[0].start_ms >= LEAD_MS
        assert items[-1].start_ms + items[-1].hold_ms + schedule.gap_ms <= 85_000
        for one, other in itertools.pairwise(items):
            assert one.start_ms + one.hold_ms + schedule.gap_ms <= other.start_ms


def test_period_has_one_occurrence_per_cell() -> None:
    plan = planned("llm_timeout:hold=1s,period=20s")
    for seed in SEEDS:
        cells = [item.start_ms // 20_000 for item in draw(reseeded(plan, seed)).items]
        assert cells == [0, 1, 2, 3]


def test_occurrences_use_the_whole_storm() -> None:
    """One short fault lands in each tenth of the room it has, over many seeds."""
    plan = planned("llm_timeout:hold=1s,count=1")
    room_ms = 85_000 - 11_000 - LEAD_MS
    starts = [draw(reseeded(plan, seed)).items[0].start_ms - LEAD_MS for seed in range(400)]
    assert set(start * 10 // (room_ms + 1) for start in starts) == set(range(10))


def test_schedule_depends_on_the_seed_only() -> None:
    plan = planned("llm_timeout:hold=14s,count=2")
    assert draw(plan) == draw(plan)
    hashes = {draw(reseeded(plan, seed)).hash for seed in SEEDS}
    assert len(hashes) == len(SEEDS)


def test_gap_covers_the_allowance_for_after_effects() -> None:
    """Otherwise a fallback owed to one fault could be taken for another's."""
    scale = ["storm_s=1000", "criteria.heuristic_fallbacks.allowance_s=90"]
    plan = resolve(Request("soak_c", faults=["llm_timeout"], seed=1, overrides=scale))
    assert draw(plan).gap_ms == 90_000


@pytest.mark.parametrize("faults", [(), ("none",)])
def test_clean_run_and_control_schedule_nothing(faults: tuple[str, ...]) -> None:
    schedule = draw(planned(*faults))
    assert schedule.items == ()
    assert schedule.hash


def test_faults_that_do_not_fit_are_refused_with_the_arithmetic() -> None:
    with pytest.raises(UsageError) as caught:
        draw(planned("llm_timeout:hold=40s,count=3"))
    text = str(caught.value)
    assert "3 x (40 s llm_timeout + 10 s recovery) + 2.0 s lead = 2 min 32 s" in text
    assert "the storm has 1 min 25 s" in text
    assert "--set storm_s=152" in text
    assert draw(planned("llm_timeout:hold=40s,count=3", storm_s=152)).items


def test_exact_fit_is_accepted() -> None:
    schedule = draw(planned("llm_timeout:hold=10s,count=2", storm_s=42))
    assert [item.start_ms for item in schedule.items] == [2000, 22_000]


def test_period_longer_than_the_storm_is_refused() -> None:
    with pytest.raises(UsageError, match="no whole period"):
        draw(planned("llm_timeout:period=90s"))


def test_period_too_short_for_its_fault_is_refused() -> None:
    with pytest.raises(UsageError, match=r"do not fit|no place"):
        draw(planned("llm_timeout:period=15s,hold=14s"))


def test_schedule_read_from_its_file_is_equal() -> None:
    schedule = draw(planned("llm_timeout:hold=14s,count=2"))
    assert Schedule.from_json(schedule.to_json()) == schedule


def test_changed_schedule_is_refused() -> None:
    content = draw(planned("llm_timeout:hold=14s,count=2")).to_json()
    content["items"][0]["start_ms"] += 1
    with pytest.raises(UsageError, match="does not fit"):
        Schedule.from_json(content)


def several(seed: int = 5, **changes: object) -> Plan:
    """Four kinds of three groups: a and b may overlap, c and d may not."""
    kinds = [("a", "disk", ("queue",)), ("b", "queue", ("disk",)), ("c", "x", ()), ("d", "x", ())]
    faults = tuple(
        FaultPlan(name, {"hold": 6.0, "count": 2}, group=group, compatible_groups=groups)
        for name, group, groups in kinds
    )
    return msgspec.structs.replace(planned(seed=seed, storm_s=200), faults=faults, **changes)


def quiet(plan: Plan, every_s: float, period_s: float) -> Plan:
    profile = msgspec.structs.replace(plan.profile, quiet_every_s=every_s, quiet_period_s=period_s)
    return msgspec.structs.replace(plan, profile=profile)


def test_schedule_of_several_kinds_equals_the_golden_one() -> None:
    """Every way of placing: these moments hold in every later version, on every machine."""
    hashes = [
        draw(plan).hash
        for plan in (
            several(),
            several(overlap=True),
            several(strikes=5),
            quiet(several(), 50, 10),
        )
    ]
    assert hashes == GOLDEN_SEVERAL


GOLDEN_SEVERAL = [
    "31fc93b47ff3383f",
    "cb896ead1ff917e2",
    "b04275114c7fa47b",
    "8ee004de9b48c1af",
]


@pytest.mark.parametrize("seed", range(40))
def test_only_compatible_kinds_overlap(seed: int) -> None:
    schedule = draw(several(seed, overlap=True))
    met = [
        {one.name, other.name}
        for one, other in itertools.combinations(schedule.items, 2)
        if one.start_ms < other.start_ms + other.hold_ms
        and other.start_ms < one.start_ms + one.hold_ms
    ]
    assert all(pair == {"a", "b"} for pair in met)


def test_kinds_overlap_only_with_the_option() -> None:
    def meetings(overlap: bool) -> int:
        return sum(
            one.start_ms + one.hold_ms > other.start_ms
            for seed in range(40)
            for one, other in itertools.pairwise(draw(several(seed, overlap=overlap)).items)
        )

    assert meetings(overlap=True) > 0
    assert meetings(overlap=False) == 0


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_quiet_periods_have_no_faults(seed: int, overlap: bool) -> None:
    plan = quiet(several(seed, overlap=overlap), 70, 20)
    periods = quiet_periods_ms(plan)
    assert periods == [(50_000, 70_000), (120_000, 140_000), (190_000, 200_000)]
    for item in draw(plan).items:
        end_ms = item.start_ms + item.hold_ms
        assert not any(item.start_ms < end and start < end_ms for start, end in periods)


def test_strikes_are_drawn_by_weight() -> None:
    heavy = [msgspec.structs.replace(f, weight=8 if f.name == "a" else 1) for f in several().faults]
    plan = msgspec.structs.replace(several(strikes=8), faults=tuple(heavy))
    drawn = Counter(item.name for seed in range(60) for item in draw(reseeded(plan, seed)).items)
    assert sum(drawn.values()) == 480
    assert drawn["a"] / 480 == pytest.approx(8 / 11, abs=0.07)
    assert min(drawn[name] for name in "bcd") > 0


def test_storm_of_the_needed_length_fits_all_faults() -> None:
    for plan in (several(), quiet(several(), 60, 20), several(strikes=30)):
        needed_s = storm_needed_s(plan)
        profile = msgspec.structs.replace(plan.profile, storm_s=needed_s)
        fitted = msgspec.structs.replace(plan, profile=profile)
        for seed in range(10):
            assert draw(reseeded(fitted, seed)).items
