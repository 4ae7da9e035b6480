"""`chaos replay RUN`: repeats a stored run with the same schedule, and compares the verdicts.

The stored plan is used, because files under experiments/ may have changed since. Another schedule,
model, LLM server or proxy makes the comparison meaningless: it is an error, or with `force` a
recorded difference.
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
from chaos.base.errors import EnvironmentProblem, UsageError
from chaos.base.printable import printable
from chaos.checks.finding import Finding
from chaos.checks.verdict import Verdict
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule, draw
from chaos.record.rundir import RunDir
from chaos.report.display import Display
from chaos.report.stored import load
from chaos.report.webhook import Webhook, run_content
from chaos.runner.availability import with_available_faults
from chaos.runner.child import Interrupts, run_child
from chaos.runner.judge import judge
from chaos.runner.launch import prepare
from chaos.runner.provenance import REPLAY_VARIABLE

if TYPE_CHECKING:  # the SDK is slow to import
    from chaos.runner.containers.settings import Settings

SCHEMA = 1
_ASSETS = ("model_sha256", "llama_build", "toxiproxy_version")
_BEYOND_BUDGET_S = 600.0


@dataclass(frozen=True)
class Row:
    """The outcomes of one finding in both runs; "" for a run without this finding."""

    title: str
    before: str
    after: str

    @property
    def same(self) -> bool:
        """Whether both runs have the same outcome."""
        return self.before == self.after


@dataclass(frozen=True)
class Comparison:
    """Two verdicts on the same schedule: of the stored run, and of the new one."""

    before: Verdict
    after: Verdict
    rows: list[Row]

    @property
    def agree(self) -> bool:
        """Whether both runs have the same verdict."""
        return self.before.verdict == self.after.verdict

    def to_json(self) -> dict[str, Any]:
        """The content of `replay.json`."""
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


def replay(
    stored: RunDir,
    runs: Path,
    display: Display,
    *,
    force: bool = False,
    hook: Webhook | None = None,
) -> int:
    """Repeat the run `stored`, compare the verdicts, and return the exit code of the new run.

    `hook` is told of the result.

    Raises `UsageError` if this version cannot draw the stored schedule, and `EnvironmentProblem`
    if the assets differ from those of the stored run.
    """
    plan, schedule, differences = stored_schedule(stored, force=force)
    _check_faults(plan, stored)
    before = load(stored).verdict if stored.verdict.is_file() else judge(stored)
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
    argv = ["chaos", "replay", str(stored.path), *(["--force"] if force else [])]
    prepared.env["CHAOS_COMMAND_LINE"] = shlex.join(argv)
    silent = display.json or display.quiet
    limit_s = plan.guardrails.run_budget_s + _BEYOND_BUDGET_S
    with Interrupts() as interrupts:
        code = run_child(prepared, interrupts, limit_s, silent=silent)
    if not prepared.run.verdict.is_file():
        if hook is not None:
            hook.send(run_content("replay", code, prepared.run))
        raise EnvironmentProblem(
            f"the new run ended with exit code {code} and without a verdict",
            place=str(prepared.run.path),
            next_step="see what it printed",
        )
    compared = comparison(before, load(prepared.run).verdict)
    prepared.run.write_json(prepared.run.path / "replay.json", compared.to_json())
    output.say(lambda: _print_result(compared, stored, prepared.run, differences, display))
    if hook is not None:
        hook.send(run_content("replay", code, prepared.run, replay=compared.to_json()))
    return code


def stored_schedule(stored: RunDir, *, force: bool) -> tuple[Plan, Schedule, list[str]]:
    """Return plan and schedule of a stored run, and the differences to what is drawn now.

    Raises `UsageError` if the files were changed. Without `force`, it is also raised if this
    version draws another schedule from the same plan and seed.
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


def _check_faults(plan: Plan, stored: RunDir) -> None:
    """Raises `UsageError` unless the faults that could be injected then are those of today."""
    now = with_available_faults(plan, place=str(stored.config))
    for fault, today in zip(plan.faults, now.faults, strict=True):
        if bool(fault.left_out) != bool(today.left_out):
            what = f"cannot be injected now: {today.left_out}"
            if fault.left_out:
                what = "was left out of the stored run, and could be injected now"
            raise UsageError(
                f"{fault.name} {what}",
                place=str(stored.config),
                next_step="replay on a machine that has what the run had, or make a new run",
            )


def _asset_differences(stored: RunDir, plan: Plan, display: Display, *, force: bool) -> list[str]:
    """Return the differences between the assets of the stored run and the current ones."""
    from chaos.assets import ensure
    from chaos.assets.progress import progress_for

    now = asdict(ensure(progress_for(quiet=display.quiet)))
    then = stored.read_json(stored.provenance) if stored.provenance.is_file() else {}
    differences = asset_differences(then, now)
    if plan.backend == "docker":
        settings = containers_now(plan, display)
        differences += image_differences(then, settings.digests)
        differences += knob_differences(then, settings.knobs)
    if differences and not force:
        raise EnvironmentProblem(
            f"the parts are not those of the stored run: {'; '.join(differences)}",
            place=str(stored.provenance),
            next_step="provide the same parts (see `chaos setup`), or compare all the same "
            "with --force",
        )
    return differences


def asset_differences(provenance: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a text for each asset whose checksum or version differs or was not recorded."""
    then = provenance.get("assets")
    if not isinstance(then, Mapping):
        return ["the stored run did not record its parts"]
    return [
        f"{name}: then {then.get(name, 'not recorded')}, now {now[name]}"
        for name in _ASSETS
        if str(then.get(name, "not recorded")) != str(now[name])
    ]


def containers_now(plan: Plan, display: Display) -> Settings:
    """Return the settings of the containers of a new run. Builds missing images."""
    from chaos.assets import ensure
    from chaos.runner.containers.prepare import prepare as prepare_containers

    def say(text: str) -> None:
        if not display.quiet:
            print(text, file=sys.stderr, flush=True)

    return prepare_containers(plan, ensure(), say)


def image_differences(provenance: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Return a text for each image whose digest differs or was not recorded."""
    then = _recorded_containers(provenance, "digests")
    return [
        f"image {name}: then {str(then.get(name, 'not recorded'))[:19]}, now {digest[:19]}"
        for name, digest in sorted(now.items())
        if then.get(name) != digest
    ]


def knob_differences(provenance: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Return a text for each variable of the compose files whose value differs."""
    then = _recorded_containers(provenance, "knobs")
    return [
        f"setting {name}: then {then.get(name, 'not set')}, now {now.get(name, 'not set')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _recorded_containers(provenance: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    containers = provenance.get("containers")
    return containers.get(key, {}) if isinstance(containers, Mapping) else {}


def comparison(before: Verdict, after: Verdict) -> Comparison:
    """Compare two verdicts finding by finding.

    The rows have the order of the stored run. Findings only in the new run follow.
    """
    old, new = _by_check(before.findings), _by_check(after.findings)
    rows = []
    for check in dict.fromkeys([*old, *new]):
        for stored, repeated in zip_longest(old.get(check, []), new.get(check, [])):
            title = (stored or repeated).title or check
            outcomes = (finding.outcome if finding else "" for finding in (stored, repeated))
            rows.append(Row(title, *outcomes))
    return Comparison(before, after, rows)


def _by_check(findings: list[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.check, []).append(finding)
    return grouped


def comparison_text(compared: Comparison) -> str:
    """Return the table of findings, and a line that says whether the verdicts agree."""
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


def _print_result(
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
