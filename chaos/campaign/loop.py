"""Makes the runs of a campaign on this machine, several side by side.

A run is made in the scratch folder, and renamed to its place when it is complete and judged. So
what lies in a place is whole, and after any end the campaign goes on from what lies there.
"""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from chaos.base.errors import ChaosError, UsageError, os_errors_told
from chaos.base.exitcode import ExitCode
from chaos.campaign.attempts import ATTEMPT, Attempt, attempt_of, attempts_of, is_open, read_attempt
from chaos.campaign.state import Campaign, CampaignDir, Entry, request_of
from chaos.checks.verdict import Verdict, exit_code
from chaos.gate.leftovers import await_owner_gone
from chaos.gate.steps import config_digest
from chaos.plan.plan import Plan
from chaos.plan.schedule import draw
from chaos.record.rundir import RunDir, write_atomic
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.write import FORMATS, write_page
from chaos.runner.child import Interrupts, run_child
from chaos.runner.clean import clean
from chaos.runner.launch import prepare
from chaos.runner.resolve import resolve

_MARGIN_S = 300.0  # beyond a run's own budget


class LeftBehind(ChaosError):
    """A run left something on this machine that could not be removed."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE


def make_run(plan: Plan, parent: Path, interrupts: Interrupts) -> tuple[RunDir, int]:
    """Make one run below `parent`; its directory and its exit code. Raises `ChaosError`."""
    prepared = prepare(plan, draw(plan), parent, Display("quiet", page=False))
    limit_s = plan.guardrails.run_budget_s + _MARGIN_S
    return prepared.run, run_child(prepared, interrupts, limit_s, silent=True)


@dataclass
class Loop:
    """The executor on this machine. `seen` gets each attempt, one at a time, as they end."""

    folder: CampaignDir
    campaign: Campaign
    interrupts: Interrupts
    slots: int
    seen: Callable[[Entry, Attempt], None]
    stopped: str = ""  # why no further run begins here
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def left(self) -> list[Entry]:
        """The runs that are still to be made."""
        return [e for e in self.campaign.share if is_open(attempts_of(self.folder, e))]

    def run(self) -> None:
        """Make the runs that are left. Raises `ChaosError`; what is complete is then in place."""
        with ThreadPoolExecutor(self.slots, thread_name_prefix="campaign") as workers:
            futures = [workers.submit(self._entry, entry) for entry in self.left()]
            for future in as_completed(futures):
                future.result()
        if not self.stopped:
            _removed(self.folder.scratch)

    def _ends(self) -> bool:
        return self.interrupts.event.is_set() or self._over.is_set()

    def _entry(self, entry: Entry) -> None:
        """Make attempts of one run until one is complete, or the last one allowed is made."""
        try:
            while not self._ends() and is_open(attempts_of(self.folder, entry)):
                attempt = self._attempt(entry)
                if attempt is None:
                    return
                with self._lock:
                    self.seen(entry, attempt)
        except BaseException:  # before this slot takes the next one
            self._over.set()
            raise

    def _attempt(self, entry: Entry) -> Attempt | None:
        """One attempt; None for an interrupted one, which leaves nothing."""
        parent = self.folder.scratch / f"{entry.index:05}"
        _removed(parent)
        made = self._made(entry, parent)
        if made is None:
            return None
        place, attempt = made
        hint = "free some space, then: chaos campaign --resume " + str(self.folder.path)
        with os_errors_told("cannot keep a run", place, next_step=hint):
            write_atomic(place / ATTEMPT, _text(attempt))
            if attempt.exit_code == ExitCode.CLEANUP_INCOMPLETE:
                self._over.set()
                self.stopped = (
                    f"run {entry.index} left something behind: chaos clean {place}, then --resume"
                )
                return attempt  # what undoes it knows it by this path
            publish(self.folder, entry.index, place)
        _removed(parent)
        return attempt

    def _made(self, entry: Entry, parent: Path) -> tuple[Path, Attempt] | None:
        plan = resolve(request_of(entry, self.campaign.common))
        if config_digest(plan.to_json()) != entry.plan_digest:
            raise UsageError(
                f"run {entry.index} ({entry.title}) is not what it was when the campaign began",
                place=str(self.folder.path),
                next_step="restore the files of its soak and target, or begin a new campaign",
            )
        try:
            run, code = make_run(plan, parent, self.interrupts)
        except UsageError:
            raise
        except ChaosError as error:  # it could not begin, so there is no run directory
            place = parent / "none" / "none"
            shutil.rmtree(parent, ignore_errors=True)
            with os_errors_told("cannot keep a run", place):
                place.mkdir(parents=True)
            return place, attempt_of(entry, int(error.exit_code), None, "", error.message)
        if code != ExitCode.CLEANUP_INCOMPLETE and (
            self.interrupts.event.is_set() or code == ExitCode.INTERRUPTED
        ):
            return None
        verdict = load(run).verdict if run.verdict.is_file() else None
        if verdict is not None and verdict.verdict != "pass":
            with suppress(ChaosError):  # the run is kept without its page
                write_page(run, run.path / FORMATS["html"].file)
        return run.path, attempt_of(entry, code, verdict, run.run_id)


def _text(attempt: Attempt) -> str:
    return msgspec.json.format(msgspec.json.encode(attempt), indent=2).decode() + "\n"


def _removed(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def publish(folder: CampaignDir, index: int, place: Path) -> Path:
    """Rename a complete attempt to its place, as the next of its run. Raises `OSError`."""
    parent = folder.attempts(index)
    parent.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
    target = parent / str(max(taken, default=0) + 1)
    place.rename(target)
    return target


def tidy(folder: CampaignDir, campaign: Campaign, say: Callable[[str], None]) -> None:
    """Clear the scratch folder of an earlier process that was killed, or that a run stopped.

    A run that had ended is put in its place; what a cut-off run left is undone. Raises
    `LeftBehind` if that fails.
    """
    places = [path for path in folder.scratch.glob("*/*/*") if path.is_dir()]
    for place in sorted(path for path in places if not path.is_symlink()):
        run = RunDir(place)
        if not await_owner_gone(run):
            raise LeftBehind("a run of this campaign still goes on", place=str(place))
        if run.config.is_file():
            messages: list[str] = []
            if clean(str(place), place.parent, messages.append) != ExitCode.PASS:
                raise LeftBehind(
                    f"what a run left behind cannot be removed: {'; '.join(messages[-2:])}",
                    place=str(place),
                    next_step=f"chaos clean {place}, then --resume again",
                )
        attempt = read_attempt(place)
        if attempt is not None and 1 <= attempt.index <= len(campaign.entries):
            say(f"run {attempt.index} had ended already: kept")
            _kept(folder, campaign.entries[attempt.index - 1], place, attempt)
    _removed(folder.scratch)


def _kept(folder: CampaignDir, entry: Entry, place: Path, attempt: Attempt) -> None:
    """Put a complete attempt in its place; what it left behind is removed by now."""
    with os_errors_told("cannot keep a run", place):
        if attempt.exit_code == ExitCode.CLEANUP_INCOMPLETE:
            code = ExitCode.INVALID
            run = RunDir(place)
            if run.verdict.is_file():
                code = _code_without_rest(load(run).verdict)
            attempt = msgspec.structs.replace(attempt, exit_code=int(code))
            write_atomic(place / ATTEMPT, _text(attempt))
        publish(folder, entry.index, place)


def _code_without_rest(verdict: Verdict) -> ExitCode:
    return exit_code(verdict.verdict, stopped=verdict.stopped, left_behind=False)
