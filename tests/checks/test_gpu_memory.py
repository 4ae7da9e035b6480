"""GPU memory and lost GPUs, against planted histories: each defect found, each healthy run left be.

The planted GPU stands for a real one as NVML shows it to the sampler: the LLM server holds 8 GB
while it runs, the Watcher's child 400 MB while it works, readings are up to half a second old.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.history_builder import (
    BASELINE_S,
    EPOCH_S,
    FAULTS,
    HALT_S,
    QUIET_S,
    PlantedRun,
    finding,
    judged,
    judged_by,
    not_passed,
)

Use = Callable[[float, int], float | None]
MB = 1e6
LLM_MB, WORK_MB, IDLE_MB = 8000.0, 400.0, 500.0


class GPU:
    """The memory of one device in the course of a planted run."""

    def __init__(self, run: PlantedRun, device: str = "gpu0", *, apart: bool = True) -> None:
        """`apart`: processes can be told apart. Makes the stops long enough to be seen."""
        self.run, self.device = run, device
        for event in run.llm_events:
            shift_s = {"stop": -0.1, "gone": -0.15, "start": 0.45, "ready": 0.1}[event["event"]]
            event["time_s"] += shift_s if event["time_s"] > EPOCH_S + 3 and device == "gpu0" else 0
        self.stops = self._stops()
        self.llm: Use = lambda t_s, done: 0.0 if self.stopped(t_s) else LLM_MB
        self.watcher: Use = lambda t_s, done: WORK_MB if self.working(t_s) else 0.0
        self.other: Use = lambda t_s, done: 0.0
        self.idle: Use = lambda t_s, done: IDLE_MB
        self.apart = apart

    def _stops(self) -> list[tuple[float, float]]:
        found, gone_s = [], None
        for event in self.run.llm_events:
            if event["event"] in ("gone", "crashed"):
                gone_s = event["time_s"] - EPOCH_S
            elif event["event"] == "start" and gone_s is not None:
                found.append((gone_s, event["time_s"] - EPOCH_S))
        return found

    def stopped(self, t_s: float) -> bool:
        return any(a <= t_s <= b for a, b in self.stops)

    def working(self, t_s: float) -> bool:
        """The child imports for a while before it needs the GPU."""
        return any(a + 0.6 <= t_s <= b for a, b in self.stops)

    def plant(self, *, before_mb: float | None = IDLE_MB) -> None:
        parts = {"llm": self.llm, "watcher": self.watcher, "other": self.other}
        uses = [self.idle, *parts.values()]

        def at(use: Use) -> Any:
            def lagging(t_s: float, done: int) -> float | None:
                used_mb = use(t_s - t_s % 0.5, done)
                return None if used_mb is None else int(used_mb * MB)

            return lagging

        def total(t_s: float, done: int) -> float | None:
            shares = [use(t_s, done) for use in uses]
            return None if None in shares else sum(share or 0.0 for share in shares)

        self.run.signals[f"{self.device}.used_bytes"] = at(total)
        if self.apart:
            for name, use in parts.items():
                self.run.signals[f"{self.device}.{name}_bytes"] = at(use)
        if before_mb is not None:
            facts = json.loads(str(self.run.files.get("provenance.json", '{"gpu": {}}')))
            used = facts["gpu"].setdefault("used_bytes", {})
            used[self.device] = int(before_mb * MB)
            self.run.files["provenance.json"] = json.dumps(facts)


@pytest.fixture
def run(planted: PlantedRun) -> PlantedRun:
    planted.config["criteria"] = {"gpu_memory": {}}
    return planted


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("before_mb", [IDLE_MB, None])
def test_memory_that_comes_back_each_time_passes(
    run: PlantedRun, apart: bool, before_mb: float | None
) -> None:
    """Two GPUs, the second one idle; processes told apart or not."""
    GPU(run, apart=apart).plant(before_mb=before_mb)
    idle = GPU(run, "gpu1", apart=False)
    idle.llm = idle.watcher = lambda t_s, done: 0.0
    idle.plant(before_mb=before_mb)
    verdict = judged(run)
    assert not_passed(verdict) == {}
    found = finding(verdict, "gpu_memory")
    assert "gpu0" in found.summary and "gpu1" in found.summary
    assert ("llm on gpu0" in found.summary) == apart
    where = "at first" if before_mb is None else "before the stack"
    assert f"500 MB {where}" in found.evidence[0].text


def leaks_over_the_run(gpu: GPU) -> None:
    gpu.idle = lambda t_s, done: IDLE_MB + 3.0 * t_s


def server_never_frees(gpu: GPU) -> None:
    """It was stopped, and its memory stays: from the first stop on, so that nothing grows."""
    gpu.llm = lambda t_s, done: LLM_MB


def server_sometimes_stays(gpu: GPU) -> None:
    kept = gpu.stops[::3]
    gpu.llm = lambda t_s, done: (
        0.0 if gpu.stopped(t_s) and not any(a <= t_s <= b for a, b in kept) else LLM_MB
    )


def child_stays(gpu: GPU) -> None:
    """The work of a dispatch is done, and its process still holds what it took."""
    began_s = gpu.stops[len(gpu.stops) // 2][0]
    gpu.watcher = lambda t_s, done: WORK_MB if t_s >= began_s or gpu.working(t_s) else 0.0


def little_by_little(gpu: GPU) -> None:
    """Far below the limit for a run, but with each request."""
    gpu.idle = lambda t_s, done: IDLE_MB + 4.0 * done


@pytest.mark.parametrize(
    ("plant", "apart", "before_mb", "said"),
    [
        (leaks_over_the_run, True, IDLE_MB, "gpu0: "),
        (leaks_over_the_run, False, None, "gpu0: "),
        (server_never_frees, True, IDLE_MB, "llm on gpu0: not freed in"),
        (server_never_frees, True, None, "llm on gpu0: not freed in"),
        (server_never_frees, False, IDLE_MB, "while the LLM server was stopped"),
        (server_sometimes_stays, True, IDLE_MB, "llm on gpu0: not freed in"),
        (child_stays, True, IDLE_MB, "watcher on gpu0: "),
        (child_stays, False, None, "gpu0: "),
    ],
)
def test_what_is_not_freed_is_found(
    run: PlantedRun,
    plant: Callable[[GPU], None],
    apart: bool,
    before_mb: float | None,
    said: str,
) -> None:
    gpu = GPU(run, apart=apart)
    plant(gpu)
    gpu.plant(before_mb=before_mb)
    verdict = judged(run)
    assert not_passed(verdict) == {"gpu_memory": "fail"}
    found = finding(verdict, "gpu_memory")
    assert said in found.summary and found.owner == "product" and found.evidence


def limited(
    run: PlantedRun,
    before_mb: dict[str, float],
    before: dict[str, str],
    now: dict[str, str],
    *,
    backend: str = "docker",
) -> None:
    """The provenance of a host with several units; `before` and `now`: their UUIDs by name, there
    and where the samples were taken.
    """
    used = {name: int(mb * MB) for name, mb in before_mb.items()}
    facts = {"gpu": {"used_bytes": used, "uuids": before}}
    run.files["provenance.json"] = json.dumps(facts)
    run.config["backend"] = backend
    run.add_event(2.3, "gpu_units", owner="infrastructure", uuids=now)


HOST = {"gpu0": "GPU-a", "gpu1": "GPU-b"}
SLICES = {"gpu0mig1": "MIG-a", "gpu0mig2": "MIG-b"}


@pytest.mark.parametrize(
    ("host", "device", "uuid"),
    [(HOST, "gpu0", "GPU-b"), (HOST, "gpu1", "GPU-b"), (SLICES, "gpu0mig1", "MIG-b")],
)
def test_the_level_before_is_that_of_the_same_gpu(
    run: PlantedRun, host: dict[str, str], device: str, uuid: str
) -> None:
    """A container with the host's second GPU counts it anew: whatever the first one is used for,
    what is left over is found, and what was there before is not called left over.
    """
    first, second = host
    gpu = GPU(run, apart=False)
    gpu.device = device
    gpu.plant(before_mb=None)
    limited(run, {first: 0.0, second: IDLE_MB}, host, {device: uuid})
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "pass" and "500 MB before the stack" in found.evidence[0].text
    server_never_frees(gpu)
    gpu.plant(before_mb=None)
    limited(run, {first: 20_000.0, second: IDLE_MB}, host, {device: uuid})
    assert judged_by(run, "gpu_memory").outcome == "fail"


@pytest.mark.parametrize(
    ("before", "now", "backend", "said"),
    [
        (HOST, {"gpu0": "GPU-c"}, "docker", "no GPU with this UUID"),
        (HOST, {"gpu0": "GPU-c"}, "local", "no GPU with this UUID"),
        ({}, {"gpu0": "GPU-a"}, "docker", "was not recorded"),
        (HOST, {}, "docker", "was not recorded"),
        ({}, {}, "local", ""),
    ],
)
def test_without_the_same_gpu_there_is_no_level_before(
    run: PlantedRun, before: dict[str, str], now: dict[str, str], backend: str, said: str
) -> None:
    """Names alone are believed only where both were given on the same machine."""
    GPU(run, apart=False).plant(before_mb=None)
    limited(run, {"gpu0": 0.0, "gpu1": 0.0}, before, now, backend=backend)
    found = judged_by(run, "gpu_memory")
    assert found.outcome == ("pass" if said else "fail")
    assert said in found.evidence[0].text
    assert ("before the stack:" in found.evidence[0].text) == bool(said)
    assert said in found.summary and ("not known" in found.summary) == bool(said)


def test_growth_per_request_is_found_however_short_the_run(run: PlantedRun) -> None:
    run.config["criteria"] = {"gpu_memory": {"limit_mb": 500, "limit_mb_per_request": 2}}
    gpu = GPU(run)
    little_by_little(gpu)
    gpu.plant()
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "fail" and "MB per request at rest: grows" in found.summary


def test_only_the_gpu_that_leaks_is_named(run: PlantedRun) -> None:
    GPU(run).plant()
    second = GPU(run, "gpu1mig2", apart=False)
    leaks_over_the_run(second)
    second.plant()
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "fail" and found.summary.startswith("gpu1mig2: ")
    assert "gpu0" not in found.summary


def test_what_others_take_is_not_the_products(run: PlantedRun) -> None:
    gpu = GPU(run)
    gpu.other = lambda t_s, done: 2000.0 if t_s > 60 else 0.0
    gpu.plant()
    found = judged_by(run, "gpu_memory")
    assert (found.outcome, found.owner) == ("inconclusive", "infrastructure")
    assert "no part of the stack" in found.summary


def test_what_a_fault_takes_is_masked(run: PlantedRun) -> None:
    """gpu_memory_taken holds memory in its window; also the moment until that is seen."""
    gpu = GPU(run)
    gpu.idle = lambda t_s, done: (
        IDLE_MB + (3000.0 if any(a <= t_s <= b + 0.4 for a, b in FAULTS) else 0.0)
    )
    gpu.plant()
    assert not_passed(judged(run)) == {}


def test_dispatches_at_the_beginning_only_are_no_growth(control: PlantedRun) -> None:
    """A model is not compared with its absence: the server ran on through the last third."""
    control.config["criteria"] = {"gpu_memory": {}}
    gpu = GPU(control)
    control.llm_events = [e for e in control.llm_events if e["time_s"] < EPOCH_S + 40]
    while control.llm_events[-1]["event"] != "ready":
        control.llm_events.pop()
    gpu.stops = gpu._stops()
    gpu.plant()
    verdict = judged(control)
    assert finding(verdict, "gpu_memory").outcome == "pass"
    assert "usual use" in finding(verdict, "gpu_memory").evidence[0].text


def stopped_in_one_third(path: Path, *, late: bool) -> tuple[PlantedRun, GPU]:
    """Dispatches stop the server in the first third only; in the last one it crashes in a fault's
    time, or (`late`) the other way round. No baseline, and processes are not told apart.
    """
    span_s = (105.0, HALT_S) if late else (BASELINE_S, BASELINE_S + 40)
    fault_s = (20.0, 34.0) if late else (110.0, 124.0)
    run = PlantedRun(path, cuts=(fault_s,))
    run.config["criteria"] = {"gpu_memory": {}}
    generations = {
        event["generation"]
        for event in run.llm_events
        if event["event"] == "stop" and span_s[0] + 1 <= event["time_s"] - EPOCH_S <= span_s[1] - 2
    }
    run.llm_events = [
        event
        for event in run.llm_events
        if (event["generation"] in generations and event["event"] in ("stop", "gone"))
        or (event["generation"] - 1 in generations and event["event"] in ("start", "ready"))
    ]
    gpu = GPU(run, apart=False)
    crash = {"time_s": EPOCH_S + fault_s[0] + 1, "event": "crashed", "pid": 9, "generation": 0}
    again = crash | {"time_s": EPOCH_S + fault_s[1] - 4, "event": "start", "pid": 10}
    run.llm_events = sorted([*run.llm_events, crash, again], key=lambda event: event["time_s"])
    gpu.stops = gpu._stops()
    return run, gpu


@pytest.mark.parametrize("late", [False, True])
def test_a_stop_that_is_masked_is_not_compared_with(tmp_path: Path, late: bool) -> None:
    """Of what was in use in a fault's time nothing is known, in the other third neither."""
    run, gpu = stopped_in_one_third(tmp_path / "run", late=late)
    gpu.plant(before_mb=None)
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "pass" and "usual use" in found.evidence[0].text
    gpu.idle = lambda t_s, done: IDLE_MB + (400.0 if t_s > 60 else 0.0)
    gpu.plant(before_mb=None)
    assert judged_by(run, "gpu_memory").outcome == "fail"


def test_processes_that_cannot_be_told_apart_are_said(run: PlantedRun) -> None:
    GPU(run, apart=False).plant()
    why = "numbers of another process namespace"
    run.add_event(3.0, "source_absent", source="gpu0.processes", reason=why)
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "pass" and why in found.summary


def test_memory_that_may_not_be_seen_is_not_held_sound(run: PlantedRun) -> None:
    """No driver is no GPU; a GPU whose memory is not told is no pass."""
    run.add_event(3.0, "source_absent", source="gpu0.used_bytes", reason="Insufficient Permissions")
    found = judged_by(run, "gpu_memory")
    assert (found.outcome, found.owner) == ("inconclusive", "infrastructure")
    assert "Insufficient Permissions" in found.summary
    run.event("source_absent")["detail"] = {"source": "gpu", "reason": "no driver"}
    assert judged_by(run, "gpu_memory").outcome == "skipped"


# -- a GPU that is lost -----------------------------------------------------------------------


def lose(run: PlantedRun, t_s: float, back_s: float | None, node: str = "/dev/nvidia0") -> None:
    device = f"gpu{node[-1]}"
    said = {"device": device, "node": node, "message": f"{device} was lost: Unknown Error"}
    run.add_event(t_s, "gpu_lost", owner="infrastructure", **said)
    if back_s is not None:
        run.add_event(back_s, "gpu_back", owner="infrastructure", device=device, node=node)


def take_gpu(run: PlantedRun, **evidence: Any) -> None:
    """The first fault of the run takes the GPU."""
    for record in run.records:
        if record["kind"] == "fault" and record["fault_id"] == "f001":
            record["name"] = "gpu_lost"
            if record["state"] == "armed":
                record["evidence"] = {"undo": {"node": "/dev/nvidia0"}}
    run.schedule["items"][0]["name"] = "gpu_lost"


def blind_from(gpu: GPU, t_s: float, until_s: float = 1e9) -> None:
    usual = gpu.idle
    gpu.idle = lambda now_s, done: None if t_s <= now_s < until_s else usual(now_s, done)


def test_a_gpu_that_goes_by_itself_is_an_outage_of_the_infrastructure(run: PlantedRun) -> None:
    gpu = GPU(run, apart=False)
    blind_from(gpu, 60.0)
    gpu.plant()
    lose(run, 60.3, None)
    verdict = judged(run)
    assert not_passed(verdict) == {"stack_health": "invalid", "gpu_memory": "inconclusive"}
    health, memory = finding(verdict, "stack_health"), finding(verdict, "gpu_memory")
    assert health.owner == memory.owner == "infrastructure"
    assert "gpu0 was lost: Unknown Error" in health.summary
    assert "lost at 60.3 s" in memory.summary


def test_a_failure_of_the_product_beside_it_proves_nothing(run: PlantedRun) -> None:
    """The GPU came back; what stayed behind may come of its loss."""
    gpu = GPU(run)
    leaks_over_the_run(gpu)
    gpu.plant()
    lose(run, 60.3, 61.0)
    found = judged_by(run, "gpu_memory")
    assert found.outcome == "inconclusive" and "gpu_lost at 60.3 s may explain it" in found.summary


def test_a_gpu_that_the_schedule_took_is_no_outage(run: PlantedRun) -> None:
    start_s, end_s = FAULTS[0]
    take_gpu(run)
    gpu = GPU(run)
    blind_from(gpu, start_s, end_s)
    gpu.plant()
    lose(run, start_s + 0.4, end_s + 0.4)
    assert not_passed(judged(run)) == {}


@pytest.mark.parametrize(
    ("lost_s", "back_s", "node"),
    [
        (FAULTS[0][0] - 5, FAULTS[0][1], "/dev/nvidia0"),  # before it
        (FAULTS[0][1] + 1, FAULTS[0][1] + 2, "/dev/nvidia0"),  # after it
        (FAULTS[0][0] + 1, QUIET_S, "/dev/nvidia0"),  # did not come back with it
        (FAULTS[0][0] + 1, None, "/dev/nvidia0"),  # nor at all
        (FAULTS[0][0] + 1, FAULTS[0][1], "/dev/nvidia1"),  # another one
        (FAULTS[1][0] + 1, FAULTS[1][1], "/dev/nvidia0"),  # in the time of another kind
    ],
)
def test_a_loss_that_the_schedule_does_not_explain_is_an_outage(
    run: PlantedRun, lost_s: float, back_s: float | None, node: str
) -> None:
    take_gpu(run)
    lose(run, lost_s, back_s, node)
    found = judged_by(run, "stack_health")
    assert (found.outcome, found.owner) == ("invalid", "infrastructure")


def test_another_kind_may_say_that_it_takes_the_gpu(run: PlantedRun) -> None:
    for record in run.records:
        if record["kind"] == "fault" and record["state"] == "effect_proven":
            record["evidence"]["loses_gpu"] = True
    lose(run, FAULTS[1][0] + 1, FAULTS[1][1])
    assert judged_by(run, "stack_health").outcome == "pass"
