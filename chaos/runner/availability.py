"""Which faults of a plan cannot be injected in its run: refused, or left out. Starts nothing.

What only a running stack shows is asked in preflight.py, before the baseline.
"""

import msgspec

from chaos.base.errors import ChaosError, UnknownName, UsageError
from chaos.faults.base import PlannedStack
from chaos.faults.registry import fault_kind
from chaos.plan.describe import left_out
from chaos.plan.plan import FaultPlan, Plan
from chaos.soaks import workload_kind
from chaos.soaks.autonomous_loop import AutonomousLoop


def with_available_faults(plan: Plan, *, place: str) -> Plan:
    """`plan` if all its faults can be injected; with `skip_unavailable`, the others marked.

    Raises `UsageError` without it, if no fault would be left, and for a parameter with a name that
    the target does not have: that is a mistake, and would be one on any machine.
    """
    stack = _planned_stack(plan)
    faults = tuple(
        msgspec.structs.replace(fault, left_out=_reason(fault, stack, place))
        for fault in plan.faults
    )
    marked = msgspec.structs.replace(plan, faults=faults)
    reasons = left_out(marked)
    if not reasons:
        return marked
    if not plan.skip_unavailable or all(fault.left_out for fault in faults):
        raise unavailable(reasons, place=place, none_left=plan.skip_unavailable)
    return marked


def unavailable(reasons: list[str], *, place: str, none_left: bool = False) -> UsageError:
    """The refusal of a run; `reasons` each begin with the names of the faults."""
    first = "no fault is left" if none_left else "cannot be injected in this run"
    step = "name others (`chaos faults` lists them)"
    if not none_left:
        step = "leave it out (in --faults: -NAME), or add --skip-unavailable"
    before = "\n    " if len(reasons) > 1 else " "
    lines = "".join(f"{before}{reason}" for reason in reasons)
    return UsageError(f"{first}:{lines}", place=place, next_step=step)


def _planned_stack(plan: Plan) -> PlannedStack:
    local = plan.backend == "local"
    sandboxed = not local or plan.sandbox == "namespaces"
    return PlannedStack(
        plan.target,
        sandboxed=sandboxed,
        can_mount=sandboxed and local,
        daemon=workload_kind(plan.workload).daemon,
        injects=plan.workload == AutonomousLoop.name and plan.target.injector is not None,
        witnessed=plan.witness == "all",
        gpu=local or plan.gpu,
    )


def _reason(fault: FaultPlan, stack: PlannedStack, place: str) -> str:
    if fault.control:
        return ""
    try:
        return fault_kind(fault.name)(fault.name, dict(fault.params)).available_in(stack) or ""
    except UnknownName as error:
        where = f"{place} {fault.name}:{error.place}"
        raise UnknownName(error.message, place=where, next_step=error.next_step) from error
    except ChaosError as error:
        return f"{error.message}; {error.next_step}" if error.next_step else error.message
