#!/usr/bin/env python3
"""Synthetic draw injector: appends the next draw of a known generator to lottery_history.json.

For: giving a Watcher new draws with a known true seed. Run it in the workspace.
Must not know: the Watcher, its queue, its LLM, the harness. One file, standard library only.

The value of draw n depends only on the seed, and n is the number of draws in the history. The
history is replaced atomically (write, fsync, rename), so a kill at any moment leaves the old or the
new history, and the next start continues with exactly the next draw.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

HISTORY = Path("lottery_history.json")
POLICIES = Path("watcher_policies.json")
STATUS = Path("injector_status.json")
LOCK = Path("synthetic_draw_injector.pid")

MODULUS = 1000
FIRST_DAY = date(2024, 1, 1)
DRAW_SOURCE = "synthetic_injector"

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.05, 1e7
LOCK_LIMIT_S = 0.5
RETRY_S_MIN, RETRY_S_MAX = 0.1, 2.0
BACKLOG_DRAWS_MAX = 1000
"""Overdue draws that are injected after a pause; older ones are skipped, with a log line."""

EXIT_OK, EXIT_FAILED, EXIT_REFUSED = 0, 1, 2


class RefusedError(Exception):
    """The injector may not or cannot start; the message says what to do."""


class NotNowError(Exception):
    """The history or the disk does not allow a draw now; the caller may retry."""


@dataclass(frozen=True)
class Policy:
    """The injection settings in watcher_policies.json. `reason`: why it is not allowed, or ""."""

    allowed: bool
    reason: str
    interval_s: float
    true_seed: int


def log(message: str) -> None:
    """Print one line on stderr, with the time (UTC)."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    with contextlib.suppress(OSError):  # a full or closed stderr must not stop the draws
        print(f"{stamp}Z injector {message}", file=sys.stderr, flush=True)


def java_lcg_value(seed: int, index: int) -> int:
    """Value of draw `index` (0-based) by java.util.Random's generator, in O(log index)."""
    multiplier, increment, mask = 0x5DEECE66D, 0xB, (1 << 48) - 1
    state = (seed ^ multiplier) & mask
    factor, offset, steps = multiplier, increment, index + 1
    while steps:
        if steps & 1:
            state = (state * factor + offset) & mask
        offset = offset * (factor + 1) & mask
        factor = factor * factor & mask
        steps >>= 1
    return (state >> 17) % MODULUS


def draw_record(index: int, seed: int) -> dict[str, Any]:
    """The record of draw `index`; dates and sessions continue those of the bootstrap."""
    value = java_lcg_value(seed, index)
    return {
        "date": (FIRST_DAY + timedelta(days=index // 2)).isoformat(),
        "session": "midday" if index % 2 == 0 else "evening",
        "draw": [value // 100 % 10, value // 10 % 10, value % 10],
        "value": value,
        "draw_source": DRAW_SOURCE,
        "true_seed": seed,
        "injected_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


# --- files ---------------------------------------------------------------------------------


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` atomically. Raises OSError; then the old content is unchanged."""
    path = path.absolute()  # a relative path would bypass a mount made over the workspace since
    part = path.with_name(f".{path.name}.injector.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # the new file is in place: the write has not failed
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_history() -> list[Any]:
    """The draws so far. Raises NotNowError if the file is not a readable history."""
    try:
        loaded = json.loads(HISTORY.read_bytes())
    except OSError as error:
        raise NotNowError(f"{HISTORY}: {error.strerror}") from error
    except ValueError as error:
        raise NotNowError(f"{HISTORY} is not JSON: {error}") from error
    draws = loaded.get("draws") if isinstance(loaded, dict) else None
    if not isinstance(draws, list):
        raise NotNowError(f"{HISTORY} has no list 'draws'")
    return draws


def read_policy() -> Policy:
    """Read the injection settings. Raises RefusedError if the file is missing or invalid."""
    try:
        loaded = json.loads(POLICIES.read_bytes())
        injection = loaded["synthetic_injection"]
        seed, interval_s = injection["true_seed"], float(injection.get("interval_seconds", 120))
        test_mode, enabled = loaded.get("test_mode") is True, injection.get("enabled") is True
    except OSError as error:
        raise RefusedError(f"{POLICIES}: {error.strerror}; run it from the workspace") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{POLICIES} has no usable synthetic_injection: {error!r}") from error
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise RefusedError(f"{POLICIES}: synthetic_injection.true_seed must be a whole number")
    if not INTERVAL_S_MIN <= interval_s < INTERVAL_S_MAX:
        raise RefusedError(f"{POLICIES}: interval_seconds must be {INTERVAL_S_MIN} or more")
    reason = ""
    if not test_mode:
        reason = f"test_mode is off; set it to true in {POLICIES}"
    elif not enabled:
        reason = f"synthetic_injection.enabled is off; set it to true in {POLICIES}"
    return Policy(not reason, reason, interval_s, seed)


def inject_one(seed: int) -> int:
    """Append the next draw and return its index. Raises NotNowError; the history is unchanged."""
    draws = read_history()
    index = len(draws)
    draws.append(draw_record(index, seed))
    lines = ",\n".join(json.dumps(draw) for draw in draws)
    try:
        write_atomic(HISTORY, f'{{"draws": [\n{lines}\n]}}\n')
    except OSError as error:
        raise NotNowError(f"cannot write {HISTORY}: {error.strerror}") from error
    return index


def _lock(descriptor: int) -> None:
    """Take the lock. Raises RefusedError if it is held for longer than `LOCK_LIMIT_S`.

    A `--status`, or an injector that is ending, holds it for a moment.
    """
    deadline_s = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                text = f"another injector is running here (pid {holder or 'unknown'})"
                raise RefusedError(text) from error
            time.sleep(0.02)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Hold the injector's lock. The kernel releases it with the process, so it is never stale.

    Raises RefusedError if another injector runs here.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(descriptor)
        with contextlib.suppress(OSError):  # the PID in the file is only information
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


# --- the schedule --------------------------------------------------------------------------


@dataclass
class Injector:
    """Injects draws on an absolute schedule: draw k is due at start + k * interval."""

    interval_s: float
    policy: Policy
    stop: threading.Event = field(default_factory=threading.Event)
    injected: int = 0
    trouble: str = ""
    started_at: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds")
    )

    def run(self, count: int | None) -> None:
        """Inject until `stop` is set, or until `count` draws are injected."""
        self.publish_status()
        log(f"ready: every {self.interval_s:g} s, seed {self.policy.true_seed}")
        start_s = time.monotonic()
        slot = 1
        while count is None or self.injected < count:
            due_s = start_s + slot * self.interval_s
            if self.stop.wait(max(0.0, due_s - time.monotonic())):
                return
            slot = self._give_up_old(slot, start_s)
            if self._allowed() and not self.inject():
                return
            slot += 1

    def inject(self) -> bool:
        """Inject one draw, with retries and backoff. False if `stop` was set before that."""
        pause_s = RETRY_S_MIN
        while True:
            try:
                index = inject_one(self.policy.true_seed)
            except NotNowError as error:
                self._report(f"waiting: {error}")
                if self.stop.wait(pause_s):
                    return False
                pause_s = min(pause_s * 2, RETRY_S_MAX)
                continue
            self.injected += 1
            self._report("")
            log(f"draw {index} injected")
            self.publish_status()
            return True

    def publish_status(self) -> None:
        """Write injector_status.json. A write error is logged once and otherwise ignored."""
        status = {
            "pid": os.getpid(),
            "started_at": self.started_at,
            "interval_seconds": self.interval_s,
            "injected": self.injected,
        }
        try:
            write_atomic(STATUS, json.dumps(status) + "\n")
        except OSError as error:
            self._report(f"cannot write {STATUS}: {error.strerror}")

    def _allowed(self) -> bool:
        """Read the policies again. True if they, or the last valid ones, allow a draw."""
        try:
            self.policy = read_policy()
        except RefusedError as error:
            self._report(f"policies kept as they were: {error}")
        if not self.policy.allowed:
            self._report(f"paused: {self.policy.reason}")
        return self.policy.allowed

    def _give_up_old(self, slot: int, start_s: float) -> int:
        """`slot`, or a later slot if more draws are due than `BACKLOG_DRAWS_MAX`."""
        due = int((time.monotonic() - start_s) / self.interval_s)
        if due - slot <= BACKLOG_DRAWS_MAX:
            return slot
        log(f"gave up {due - slot - BACKLOG_DRAWS_MAX} draws that were due long ago")
        return due - BACKLOG_DRAWS_MAX

    def _report(self, trouble: str) -> None:
        """Log `trouble` if it differs from the last one; "" means that the trouble is over."""
        if trouble != self.trouble:
            log(trouble or "going on")
            self.trouble = trouble


# --- command line --------------------------------------------------------------------------


def show_status() -> int:
    """Print the state as JSON. Returns the exit code: 1 if no injector runs here."""
    running = False
    with contextlib.suppress(OSError), LOCK.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            running = True
    shown: dict[str, Any] = {"running": running}
    with contextlib.suppress(OSError, ValueError):
        shown["last_status"] = json.loads(STATUS.read_bytes())
    try:
        draws = read_history()
        shown["draws"] = len(draws)
        shown["last_draw"] = draws[-1] if draws else None
    except NotNowError as error:
        shown["history"] = str(error)
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(shown, indent=2), flush=True)
    return EXIT_OK if running else EXIT_FAILED


def _positive(text: str) -> float:
    number = float(text)
    if not INTERVAL_S_MIN <= number < INTERVAL_S_MAX:
        raise argparse.ArgumentTypeError(f"must be {INTERVAL_S_MIN} or more, got {text}")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return number


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="synthetic_draw_injector.py",
        description="Add synthetic draws to lottery_history.json in the current folder. "
        "watcher_policies.json must have test_mode and synthetic_injection.enabled set.",
        epilog="Draw n is value n of java.util.Random(true_seed) mod 1000. "
        "Exit 0 done or stopped, 1 failed, 2 refused.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--daemon", action="store_true", help="inject one draw every interval")
    mode.add_argument("--once", action="store_true", help="inject one draw now and exit")
    mode.add_argument("--status", action="store_true", help="show what runs here, as JSON")
    parser.add_argument(
        "--interval",
        type=_positive,
        metavar="S",
        help="seconds between draws (default: interval_seconds of the policies)",
    )
    parser.add_argument(
        "--count",
        type=_count,
        metavar="N",
        help="inject N draws now and exit; with --daemon: stop after N draws",
    )
    arguments = parser.parse_args(argv)
    if not (arguments.daemon or arguments.once or arguments.status or arguments.count):
        parser.error("say what to do: --daemon, --once, --count N or --status")
    return arguments


def _serve(arguments: argparse.Namespace, on_signal: Callable[[threading.Event], None]) -> int:
    policy = read_policy()
    if not policy.allowed:
        raise RefusedError(policy.reason)
    if not HISTORY.exists():
        raise RefusedError(f"{HISTORY} is missing; run bootstrap_history.py first")
    with only_one():
        injector = Injector(arguments.interval or policy.interval_s, policy)
        on_signal(injector.stop)
        if arguments.daemon:
            injector.run(arguments.count)
        else:
            for _ in range(1 if arguments.once else arguments.count):
                inject_one(policy.true_seed)
                injector.injected += 1
        log(f"stopped after {injector.injected} draws")
    return EXIT_OK


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    arguments = parse(argv)
    if arguments.status:
        return show_status()
    try:
        return _serve(arguments, _stop_on_signals)
    except RefusedError as error:
        log(f"refused: {error}")
        return EXIT_REFUSED
    except (NotNowError, OSError) as error:
        log(f"failed: {error}")
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
