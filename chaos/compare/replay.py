"""`chaos replay RUN`: the identical schedule again, and how the verdicts compare.

The stored plan is run, not one resolved anew: files under experiments/ may have changed since.
What would make the comparison one of two different things (another schedule, another model, LLM
server or proxy) is refused, or with `force` recorded.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.base import output
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.base.printable import printable
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, draw
from chaos.record.rundir import RunDir
from chaos.runner.child import Interrupts, run_child
from chaos.runner.judge import judge
from chaos.runner.launch import Display, prepare
from chaos.runner.provenance import REPLAY_VARIABLE

if TYPE_CHECKING:  # the SDK is slow to import
    from chaos.runner.containers.settings import Settings

SCHEMA = 1
_ASSETS = ("model_sha256", "llama_build", "toxiproxy_version")
_BEYOND_BUDGET_S = 600.0


@dataclass(frozen=True)
class Row:
    """One finding before and after; "" where it was not judged."""

    title: str
    before: str
    after: str

    @property
    def same(self) -> bool:
        """Whether both runs say the same."""
        return self.before == self.after


@dataclass(frozen=True)
class Comparison:
    """Two verdicts over the same schedule."""

    before: Verdict
    after: Verdict
    rows: list[Row]

    @property
    def agree(self) -> bool:
        """Whether both runs came to the same verdict."""
        return self.before.verdict == self.after.verdict

    def to_json(self) -> dict[str, Any]:
        """Plain data for `replay.json`."""
        return {
            "schema": SCHEMA,
            "replay_of": self.before.run_id,
            "run_id": self.after.run_id,
            "schedule_hash": self.after.schedule_hash,
            "agree": self.agree,
            "before": self.before.verdict,
            "after": self.after.verdict,
            "findings": [{**asdict(row), "same": row.same} for row in self.rows],
        }


def replay(stored: RunDir, runs: Path, display: Display, *, force: bool = False) -> int:
    """Run the schedule of `stored` again and compare; the exit code is that of the new run.

    Raises `UsageError` when the stored schedule cannot be had again, `EnvironmentProblem` when
    the parts are others than those of the stored run.
    """
    plan, schedule, differences = stored_schedule(stored, force=force)
    before = _verdict(stored)
    differences += _asset_differences(stored, plan, display, force=force)
    origin = {
        "run_id": stored.run_id,
        "path": str(stored.path),
        "schedule_hash": schedule.hash,
        "forced": force,
        "differences": differences,
    }
    prepared = prepare(plan, schedule, runs, display)
    prepared.env[REPLAY_VARIABLE] = json.dumps(origin)
    words = ["chaos", "replay", str(stored.path), *(["--force"] if force else [])]
    prepared.env["CHAOS_COMMAND_LINE"] = shlex.join(words)
    silent = display.json or display.quiet
    limit_s = plan.guardrails.run_budget_s + _BEYOND_BUDGET_S
    with Interrupts() as interrupts:
        code = run_child(prepared, interrupts, limit_s, silent=silent)
    if not prepared.run.verdict.is_file():
        raise EnvironmentProblem(
            f"the new run ended with exit code {code} and without a verdict",
            place=str(prepared.run.path),
            next_step="see what it printed",
        )
    compared = comparison(before, _verdict(prepared.run))
    prepared.run.write_json(prepared.run.path / "replay.json", compared.to_json())
    output.say(lambda: _say(compared, stored, prepared.run, differences, display))
    return code


def stored_schedule(stored: RunDir, *, force: bool) -> tuple[Plan, Schedule, list[str]]:
    """Plan and schedule of a stored run, and what differs from what this version would draw.

    Raises `UsageError` if the files were changed, and, unless `force`, if this version draws
    another schedule from the same plan and seed.
    """
    plan = Plan.from_json(stored.read_json(stored.config))
    schedule = Schedule.from_json(stored.read_json(stored.schedule))
    if schedule.seed != plan.seed:
        raise UsageError(
            f"the schedule is of seed {schedule.seed}, the plan of seed {plan.seed}",
            place=str(stored.schedule),
            next_step="one of the two files is not of this run; replay another run",
        )
    try:
        drawn = draw(plan).hash
    except UsageError as error:
        drawn = f"none ({error.message})"
    if drawn == schedule.hash:
        return plan, schedule, []
    difference = f"schedule: stored {schedule.hash}, drawn now {drawn}"
    if not force:
        raise UsageError(
            f"this version cannot draw the stored schedule: {difference}",
            place=str(stored.schedule),
            next_step="use the version of chaos that made the run, or run the stored schedule "
            "with --force",
        )
    return plan, schedule, [difference]


def _asset_differences(stored: RunDir, plan: Plan, display: Display, *, force: bool) -> list[str]:
    """What differs between the stored run's parts and those that a run would use now."""
    from chaos.assets import ensure
    from chaos.assets.progress import progress_for

    now = asdict(ensure(progress_for(quiet=display.quiet)))
    then = stored.read_json(stored.provenance) if stored.provenance.is_file() else {}
    found = asset_differences(then, now)
    if plan.backend == "docker":
        settings = containers_now(plan, display)
        found += image_differences(then, settings.digests) + knob_differences(then, settings.knobs)
    if found and not force:
        raise EnvironmentProblem(
            f"the parts are not those of the stored run: {'; '.join(found)}",
            place=str(stored.provenance),
            next_step="provide the same parts (see `chaos setup`), or compare all the same "
            "with --force",
        )
    return found


def asset_differences(provenance: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One text for each part whose checksum or version is another, or was not recorded."""
    then = provenance.get("assets")
    if not isinstance(then, Mapping):
        return ["the stored run did not record its parts"]
    return [
        f"{name}: then {then.get(name, 'not recorded')}, now {now[name]}"
        for name in _ASSETS
        if str(then.get(name, "not recorded")) != str(now[name])
    ]


def containers_now(plan: Plan, display: Display) -> Settings:
    """What the containers of a run would be made of now; builds the images that are missing."""
    from chaos.assets import ensure
    from chaos.runner.containers.prepare import prepare as prepare_containers

    def say(text: str) -> None:
        if not display.quiet:
            print(text, file=sys.stderr, flush=True)

    return prepare_containers(plan, ensure(), say)


def image_differences(provenance: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """One text for each image whose digest is another, or was not recorded."""
    then = provenance.get("containers")
    digests = then.get("digests", {}) if isinstance(then, Mapping) else {}
    return [
        f"image {name}: then {str(digests.get(name, 'not recorded'))[:19]}, now {digest[:19]}"
        for name, digest in sorted(now.items())
        if digests.get(name) != digest
    ]


def knob_differences(provenance: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """One text for each setting of the compose files that the environment has otherwise now."""
    recorded = provenance.get("containers")
    then = recorded.get("knobs", {}) if isinstance(recorded, Mapping) else {}
    return [
        f"setting {name}: then {then.get(name, 'not set')}, now {now.get(name, 'not set')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _verdict(run: RunDir) -> Verdict:
    """The verdict of `run`; one that was never judged is judged now."""
    if not run.verdict.is_file():
        return judge(run)
    try:
        return msgspec.convert(run.read_json(run.verdict), Verdict)
    except msgspec.ValidationError as error:
        raise ChaosError(
            f"not a verdict of this version: {error}",
            place=str(run.verdict),
            next_step=f"judge it again: chaos check {run.path}",
        ) from error


def comparison(before: Verdict, after: Verdict) -> Comparison:
    """Finding by finding, in the order of the stored run; those only in the new one follow."""
    old, new = _by_check(before.findings), _by_check(after.findings)
    rows = []
    for check in dict.fromkeys([*old, *new]):
        pairs = zip_longest(old.get(check, []), new.get(check, []))
        for was, now in pairs:
            known = was or now
            rows.append(
                Row(known.title or check, was.outcome if was else "", now.outcome if now else "")
            )
    return Comparison(before, after, rows)


def _by_check(findings: list[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.check, []).append(finding)
    return grouped


def comparison_text(compared: Comparison) -> str:
    """The table, and the line that says whether the verdicts agree."""
    changed = [row for row in compared.rows if not row.same]
    lines = ["", f"{'':<9}{'stored':<14}{'replay':<14}finding"]
    lines += [
        f"{'same' if row.same else 'CHANGED':<9}{row.before or '-':<14}{row.after or '-':<14}"
        f"{row.title}"
        for row in compared.rows
    ]
    word = "agree" if compared.agree else "differ"
    verdicts: str = compared.before.verdict
    if not compared.agree:
        verdicts += f", now {compared.after.verdict}"
    lines += [
        "",
        f"verdicts {word}: {verdicts}; {len(changed)} of {len(compared.rows)} findings changed, "
        f"schedule {compared.after.schedule_hash}",
    ]
    return "\n".join(lines)


def _say(
    compared: Comparison,
    stored: RunDir,
    run: RunDir,
    differences: list[str],
    display: Display,
) -> None:
    if display.json:
        content = {
            **compared.to_json(),
            "differences": differences,
            "run": str(run.path),
            "verdict": msgspec.to_builtins(compared.after),
        }
        print(json.dumps(content, indent=2, sort_keys=True), flush=True)
        return
    if display.quiet:
        word = "agree" if compared.agree else "differ"
        after = compared.after
        text = f"{after.verdict}: {after.reason} | verdicts {word} | {run.path}"
        print(printable(text), flush=True)
        return
    print(printable(comparison_text(compared)))
    for difference in differences:
        print(f"  differs from the stored run: {difference}")
    print(f"  stored     {stored.path}\n  replay     {run.path}", flush=True)
