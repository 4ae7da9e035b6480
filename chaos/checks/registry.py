"""The checks by name. Adding one: write its file, name it in `CHECKS`, write its test."""

from typing import Any

from chaos.base.errors import unknown_name
from chaos.checks import (
    answers_witnessed,
    bystanders,
    call_time_limit,
    child_witnessed,
    completed_cycles,
    convergence,
    decision_log,
    disk_growth,
    draws_expected,
    draws_ingested,
    errors,
    exactly_once,
    fault_effect,
    fifo,
    file_descriptors,
    files_left,
    gpu_memory,
    growth_per_fault,
    halt,
    heuristic_fallbacks,
    idle_cpu,
    llm_lifecycle,
    llm_slots,
    log_growth,
    log_rewritten,
    memory_growth,
    order_witnessed,
    parameters_witnessed,
    paths_taken,
    policy_candidates,
    publication_witnessed,
    published_intact,
    record_complete,
    recovery_time,
    request_queue,
    requests_archived,
    requests_pending,
    requests_witnessed,
    resource_growth,
    retry_storm,
    routing,
    selfplay_dispatches,
    single_watcher,
    stack_health,
    stall,
    steady_state,
    telemetry,
    watcher_alive,
    work_completed,
    wrong_answers,
)
from chaos.checks.base import Check

# The order of the report: the plan's rows first, then what the plan did not ask.
CHECKS: tuple[Check, ...] = (
    completed_cycles.CHECK,
    draws_ingested.CHECK,
    selfplay_dispatches.CHECK,
    heuristic_fallbacks.CHECK,
    memory_growth.CHECK,
    errors.CHECK,
    llm_lifecycle.CHECK,
    policy_candidates.CHECK,
    telemetry.CHECK,
    request_queue.CHECK,
    requests_archived.CHECK,
    requests_pending.CHECK,
    routing.CHECK,
    decision_log.CHECK,
    file_descriptors.CHECK,
    disk_growth.CHECK,
    gpu_memory.CHECK,
    draws_expected.CHECK,
    exactly_once.CHECK,
    fifo.CHECK,
    recovery_time.CHECK,
    llm_slots.CHECK,
    stall.CHECK,
    steady_state.CHECK,
    resource_growth.CHECK,
    log_growth.CHECK,
    growth_per_fault.CHECK,
    convergence.CHECK,
    halt.CHECK,
    fault_effect.CHECK,
    paths_taken.CHECK,
    watcher_alive.CHECK,
    work_completed.CHECK,
    child_witnessed.CHECK,
    publication_witnessed.CHECK,
    published_intact.CHECK,
    answers_witnessed.CHECK,
    requests_witnessed.CHECK,
    order_witnessed.CHECK,
    parameters_witnessed.CHECK,
    log_rewritten.CHECK,
    files_left.CHECK,
    bystanders.CHECK,
    retry_storm.CHECK,
    call_time_limit.CHECK,
    wrong_answers.CHECK,
    idle_cpu.CHECK,
    single_watcher.CHECK,
    stack_health.CHECK,
    record_complete.CHECK,
)


def all_checks() -> dict[str, Check]:
    """All checks by name, in the order of the report."""
    return {check.name: check for check in CHECKS}


def check_named(name: str, *, place: str = "") -> Check:
    """The check called `name`; `UsageError` with the nearest valid name and the list."""
    checks = all_checks()
    if name not in checks:
        raise unknown_name("criterion", name, checks, place=place)
    return checks[name]


def validate_criteria(criteria: dict[str, dict[str, Any]], *, place: str = "") -> None:
    """Check names and parameters of an experiment's criteria; `UsageError` for the first wrong."""
    for name, raw in criteria.items():
        check_named(name, place=place).parsed(raw, place=place)
