"""The plan and the schedule as plain text, for `--dry-run` and for the head of every run."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chaos.base.printable import printable
from chaos.base.units import duration_text
from chaos.plan.plan import FaultPlan, Plan
from chaos.plan.schedule import Schedule, quiet_periods_ms

_NAMED_MAX = 6


def head(plan: Plan, schedule: Schedule) -> str:
    """Three lines: what runs, with which faults, and the seed with the schedule's hash.

    Notes follow: what is left out, that the storm was made longer, that the run's budget is too
    short.
    """
    total_s = sum(length_s for _, length_s in phases(plan))
    lines = [
        f"{plan.soak}: {plan.title} | profile {plan.profile_name}, about "
        f"{duration_text(total_s)} | target {plan.target.target}",
        f"faults: {faults_line(plan)}",
        f"seed {plan.seed} | schedule {schedule.hash}, {len(schedule.items)} fault(s)",
    ]
    lines += [f"left out (--skip-unavailable): {text}" for text in left_out(plan)]
    if plan.profile_storm_s is not msgspec.UNSET:
        lines.append(
            f"note: the storm lasts {duration_text(plan.profile.storm_s)} instead of "
            f"{duration_text(plan.profile_storm_s)}, so that all faults fit (--set storm_s=... "
            "sets it)"
        )
    budget_s = plan.guardrails.run_budget_s
    if total_s > budget_s:
        lines.append(
            f"note: guardrails.run_budget_s ends the run after {duration_text(budget_s)}, and its "
            f"phases may take {duration_text(total_s)}"
        )
    return printable("\n".join(lines))


def line(plan: Plan, schedule: Schedule) -> str:
    """The head on one line."""
    return " | ".join(part.removeprefix("faults: ") for part in head(plan, schedule).split("\n"))


def phases(plan: Plan) -> list[tuple[str, float]]:
    """(name, length in seconds) of the phases whose length the profile sets, in order."""
    profile = plan.profile
    return [
        ("baseline", profile.baseline_s),
        ("storm", profile.storm_s),
        ("quiet", profile.quiet_s),
    ]


def left_out(plan: Plan) -> list[str]:
    """ "name, name: reason" for the faults that are left out."""
    names: dict[str, list[str]] = {}
    for fault in plan.faults:
        if fault.left_out:
            names.setdefault(fault.left_out, []).append(fault.name)
    return [f"{', '.join(those)}: {reason}" for reason, those in names.items()]


def faults_line(plan: Plan) -> str:
    """All faults with their parameters on one line."""
    if not plan.faults:
        return "none (a clean run; break something with --fault NAME, see `chaos faults`)"
    if len(plan.faults) > _NAMED_MAX:
        names = [fault.name for fault in plan.faults]
        more = len(names) - _NAMED_MAX
        return f"{len(names)} kinds: {', '.join(names[:_NAMED_MAX])} and {more} more"
    return "; ".join(_fault(fault) for fault in plan.faults)


def _fault(fault: FaultPlan) -> str:
    if fault.control:
        return "none (the control: must pass without any fault)"
    return f"{fault.name} ({_pairs(fault.params)})"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in sorted(values.items()))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def schedule_table(schedule: Schedule, plan: Plan) -> str:
    """One line per occurrence; times from the start of the storm."""
    if not schedule.items:
        return "  (no fault is scheduled)"
    lines = [f"  {'id':<6}{'starts':>10}{'holds':>10}{'ends':>10}  fault"]
    for item in schedule.items:
        params = {key: value for key, value in item.params.items() if key not in _PLACING}
        detail = f" ({_pairs(params)})" if params else ""
        detail += ", left out" if plan.left_out(item.name, item.params) else ""
        ends_s = (item.start_ms + item.hold_ms) / 1000
        lines.append(
            f"  {item.fault_id:<6}{item.start_ms / 1000:>8.3f} s{item.hold_ms / 1000:>8.3f} s"
            f"{ends_s:>8.3f} s  {item.name}{detail}"
        )
    return "\n".join(lines)


def _quiet(plan: Plan) -> list[str]:
    periods = [f"{a / 1000:g}-{b / 1000:g} s" for a, b in quiet_periods_ms(plan)]
    return [f"  free of faults: {', '.join(periods)}"] if periods else []


_PLACING = frozenset({"hold", "count", "period"})  # visible in the rows themselves


def full(plan: Plan, schedule: Schedule) -> str:
    """The whole plan and schedule, for `--dry-run`."""
    profile, rails = plan.profile, plan.guardrails
    lines = [head(plan, schedule), "", "phases"]
    lines += [f"  {name:<14}{duration_text(length_s)}" for name, length_s in phases(plan)]
    lines += [f"  {'then':<14}drain at most {duration_text(profile.drain_limit_s)}, halt at most "]
    lines[-1] += duration_text(plan.target.end_limit_s)
    lines += ["", "settings", f"  {_pairs(profile.settings)}"]
    lines += [f"  sample_period_s={profile.sample_period_s:g}, sandbox={plan.sandbox}"]
    lines += ["", "criteria"]
    lines += [f"  {name:<22}{_pairs(params)}".rstrip() for name, params in plan.criteria.items()]
    lines += ["", "guardrails"]
    lines += [f"  {key:<30}{_value(getattr(rails, key))}" for key in rails.__struct_fields__]
    lines += ["", f"schedule {schedule.hash} (from the start of the storm)"]
    lines += [schedule_table(schedule, plan), *_quiet(plan), "", f"reproduce: {plan.reproduce}"]
    return printable("\n".join(lines))
