"""The machine kinds: each is proven only if injected.

A small Python program stands for the Watcher; the limits are the kernel's. test_catalogue.py runs
all kinds on the whole stack.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError
from chaos.base.proc import Identity, marked
from chaos.faults.base import Fault, noop_twin, parse_params
from chaos.faults.machine import watcher_clock_jump
from chaos.faults.machine.lowered import is_lower
from chaos.faults.machine.watcher_clock_jump import WatcherClockJump
from chaos.faults.machine.watcher_cpu_starved import WatcherCpuStarved
from chaos.faults.machine.watcher_fd_limit import WatcherFdLimit
from chaos.faults.machine.watcher_memory_limit import WatcherMemoryLimit
from chaos.faults.params import Value
from chaos.faults.registry import kinds_of
from chaos.runner.resolve import read_target
from chaos.stack.base import Stack
from chaos.stack.clock import WatcherClock, compiler
from tests.waiting import wait_for

KINDS = kinds_of("machine")

# Stands for the Watcher: writes its ready file again and again, and says so when it cannot.
PROGRAM = """
import json, os, sys, time
from datetime import UTC, datetime
os.dup2(0, 9)  # leaves numbers free below
sys.stderr.write("started\\n")
while True:
    try:
        with open("status.new", "w") as stream:
            json.dump({"updated_at": datetime.now(UTC).isoformat(), "pid": os.getpid()}, stream)
        os.rename("status.new", "watcher_status.json")
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\\n")
    time.sleep(0.02)
"""


@dataclass
class Service:
    """The program above as a service of the stack."""

    workspace: Path
    log: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.pid() is not None:
            return
        ready = self.workspace / "watcher_status.json"
        ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                cwd=self.workspace,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        wait_for("the program is ready", ready.exists, seen=self.log.read_text)

    def pid(self) -> int | None:
        alive = self.process is not None and self.process.poll() is None
        return self.process.pid if alive and self.process is not None else None

    def pids(self) -> list[int]:
        pid = self.pid()
        return [] if pid is None else [pid]

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Place:
    """Stands for a stack: the target's names, a workspace, and that one service."""

    def __init__(self, root: Path) -> None:
        self.target = read_target("reference")[1]
        self.workspace = root
        self.sandboxed = False
        self.clock: WatcherClock | None = None
        self.watcher = Service(root, root / "watcher.out")

    def service(self, name: str) -> Service:
        assert name == "watcher"
        return self.watcher


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.watcher.end()


def fault(kind: type[Fault], **raw: Value) -> Any:
    return kind("f001", parse_params(kind, raw, place="test"))


def walk(one: Fault, place: Place, *, effect_s: float = 20.0) -> dict[str, Any]:
    """The steps of a fault's life, recovering twice; what was measured of its effect."""
    stack = cast(Stack, place)
    assert one.available(stack) is None
    record = one.undo_record(stack)
    json.dumps(record)
    one.inject(stack)
    try:
        effect = one.effect(stack, Deadline(effect_s))
    finally:
        one.recover(stack)
        one.recover(stack)
    recovered = one.recovered(stack, Deadline(20))
    assert recovered.proven, recovered.measured
    return {"proven": effect.proven, **effect.measured}


@pytest.mark.parametrize(
    "kind", [WatcherMemoryLimit, WatcherFdLimit, WatcherCpuStarved, WatcherClockJump]
)
def test_effect_is_proven_only_when_injected(
    kind: type[Fault], place: Place, tmp_path: Path
) -> None:
    reason = kind.available_here()
    if reason is not None:
        pytest.skip(reason)
    if kind is WatcherClockJump:
        place.clock = WatcherClock.build(tmp_path / "clock")
        place.watcher.env = place.clock.environment(os.environ)
    place.watcher.start()
    assert not walk(fault(noop_twin(kind)), place, effect_s=1.5)["proven"]
    seen = walk(fault(kind), place)
    assert seen["proven"], seen


def test_without_a_watcher_the_kinds_are_unavailable(place: Place) -> None:
    for kind in KINDS:
        assert "does not run" in str(fault(kind).available(cast(Stack, place)))


def test_watcher_killed_by_its_limit_is_started_again(place: Place) -> None:
    place.watcher.start()
    one, stack = fault(WatcherMemoryLimit), cast(Stack, place)
    one.undo_record(stack)
    one.inject(stack)
    place.watcher.end()
    assert not one.effect(stack, Deadline(0.5)).proven
    one.recover(stack)
    recovered = one.recovered(stack, Deadline(20))
    assert recovered.proven and recovered.measured["watcher"] == "started anew"


def test_undo_restores_only_the_limits_in_the_record(place: Place) -> None:
    place.watcher.start()
    pid = place.watcher.pid()
    assert pid is not None
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    one, stack = fault(WatcherFdLimit), cast(Stack, place)
    record = json.loads(json.dumps(one.undo_record(stack)))
    one.inject(stack)
    lowered = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert lowered[0] < before[0] and lowered[1] == before[1]  # the hard one stays
    later = [{**entry, "start_ticks": entry["start_ticks"] + 1} for entry in record["processes"]]
    WatcherFdLimit.undo({**record, "processes": later})  # another process under its number
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == lowered
    WatcherFdLimit.undo(record)
    WatcherFdLimit.undo(record)
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize(("spare", "limit"), [(0, 3), (2, 5), (6, 10), (7, 11)])
def test_spare_descriptors_are_counted_below_the_limit(
    place: Place, spare: int, limit: int
) -> None:
    """The program holds 0, 1, 2 and 9: with 6 to spare it gets 3 to 8, with 7 also 10."""
    place.watcher.start()
    watcher = Identity.of(place.watcher.pid())
    assert watcher is not None
    assert fault(WatcherFdLimit, spare=spare).low(cast(Stack, place), watcher) == limit


def test_log_lines_from_before_the_fault_prove_no_effect(place: Place) -> None:
    """The limit is in force, but only old log lines mention descriptors."""
    place.watcher.log.write_text("Too many open files\n")
    place.watcher.start()
    one = fault(WatcherFdLimit, spare=50)
    one.undo_record(cast(Stack, place))
    one.inject(cast(Stack, place))
    seen = one.effect(cast(Stack, place), Deadline(1))
    assert not seen.proven and seen.measured["soft_limit"] < seen.measured["soft_limit_before"]


def test_unlimited_is_higher_than_every_limit() -> None:
    assert is_lower(10, -1) and is_lower(10, 11)
    assert not is_lower(-1, 10) and not is_lower(-1, -1)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_undo_ends_only_burners_with_its_token(place: Place) -> None:
    place.watcher.start()
    pid = place.watcher.pid()
    assert pid is not None
    one, other = fault(WatcherCpuStarved, burners=10), fault(WatcherCpuStarved, burners=10)
    record = one.undo_record(cast(Stack, place))
    one.inject(cast(Stack, place))
    try:
        assert len(marked(record["token"])) == 11
        assert len({os.getsid(burner.pid) for burner in marked(record["token"])}) == 11
        WatcherCpuStarved.undo(other.undo_record(cast(Stack, place)))
        assert len(marked(record["token"])) == 11
    finally:
        WatcherCpuStarved.undo(record)
    assert marked(record["token"]) == []
    assert os.sched_getaffinity(pid) == set(record["cpus"])
    one.recover(cast(Stack, place))


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor only")
def test_burners_end_with_their_parent(tmp_path: Path) -> None:
    """SIGKILL for the harness leaves none behind."""
    token = f"chaos-burner-{tmp_path.name}-{os.getpid()}"
    burner = Path(watcher_clock_jump.__file__).with_name("burner.py")
    code = f"import subprocess, sys; subprocess.run([sys.executable, {str(burner)!r}, '0', '3', '60', {token!r}])"  # noqa: E501
    harness = subprocess.Popen([sys.executable, "-c", code, "harness"], stdout=subprocess.DEVNULL)
    wait_for("all burners", lambda: len(marked(token)) >= 4)
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    wait_for("every burner has ended", lambda: not marked(token))


@pytest.mark.parametrize(
    ("text", "seconds"), [("+1h", 3600.0), ("-90s", -90.0), ("2m", 120.0), (-3600.0, -3600.0)]
)
def test_an_offset_has_a_sign(text: Value, seconds: float) -> None:
    assert fault(WatcherClockJump, offset=text).params.offset == seconds


@pytest.mark.parametrize("text", ["soon", "+10s", "-400000h", "", "+", "--1h"])
def test_an_invalid_offset_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        fault(WatcherClockJump, offset=text)
    assert raised.value.next_step


def test_without_a_compiler_the_clock_kind_is_unavailable(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.watcher.start()
    monkeypatch.setattr(watcher_clock_jump, "compiler", lambda: None)
    assert "apt-get install" in str(WatcherClockJump.available_here())
    assert "apt-get install" in str(fault(WatcherClockJump).available(cast(Stack, place)))


def test_the_clock_kind_is_unavailable_in_containers(place: Place) -> None:
    """The reason names the backend, not a compiler that the user could install."""
    place.watcher.start()
    place.clock = None
    place.sandboxed, place.can_mount = True, False
    told = str(fault(WatcherClockJump).available(cast(Stack, place)))
    assert "--backend local" in told and "apt-get" not in told


def test_future_timestamps_of_a_stopped_watcher_prove_no_clock_jump(
    place: Place, tmp_path: Path
) -> None:
    """A stamp that was ahead of its file before the fault is not used."""
    place.watcher.start()
    place.watcher.end()
    place.watcher.start = lambda: None  # type: ignore[method-assign]
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    (tmp_path / "watcher_status.json").write_text(json.dumps({"due_at": ahead}))
    one = fault(WatcherClockJump)
    one.undo_record(cast(Stack, place))
    assert not one.effect(cast(Stack, place), Deadline(0.5)).proven


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_the_clock_offset_applies_to_children_but_not_to_sleep(tmp_path: Path) -> None:
    clock = WatcherClock.build(tmp_path)
    clock.set_offset(-7200.0)
    code = "import time\nm = time.monotonic()\ntime.sleep(0.01)\nprint(time.time())"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=clock.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(time.time() - 7200, abs=60)
