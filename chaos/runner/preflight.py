"""Preflight: check the assumptions of a run. Source: the plan, section 2.

A failed assumption makes the run `invalid` (exit 4), never `fail`: the Watcher was not judged.
"""

from pathlib import Path

from chaos.base.errors import EnvironmentProblem
from chaos.faults.registry import fault_kind
from chaos.plan.plan import Plan
from chaos.record.rundir import RunDir
from chaos.record.target import Target
from chaos.runner.availability import unavailable
from chaos.stack.base import Endpoint, Stack
from chaos.stack.http_client import NoAnswer
from chaos.stack.llm_probe import completion
from chaos.witness.guardrail import disk_free_mb, memory_available_mb

_GRAMMAR_LIMIT_S = 10.0


def check_host(plan: Plan, rundir: RunDir) -> None:
    """Require the free disk and memory that the guardrails demand."""
    rails = plan.guardrails
    free_mb = disk_free_mb(rundir.path)
    if free_mb < rails.host_disk_free_mb_min:
        raise EnvironmentProblem(
            f"{free_mb:.0f} MB of disk are free, {rails.host_disk_free_mb_min:.0f} MB are needed",
            place=str(rundir.path),
            next_step="free some space or name another folder with --runs DIR",
        )
    available_mb = memory_available_mb()
    if available_mb < rails.host_memory_available_mb_min:
        raise EnvironmentProblem(
            f"{available_mb:.0f} MB of memory are available, "
            f"{rails.host_memory_available_mb_min:.0f} MB are needed",
            next_step="end other programs, or lower guardrails.host_memory_available_mb_min",
        )


def check_stack(stack: Stack, target: Target) -> None:
    """Require that no halt flag is set, and that the LLM server obeys a grammar through the proxy.

    A server of the daemon's own may know none. A server that cannot parse a grammar may answer
    unconstrained text with status 200, so a ready server may still be unable to decide.
    """
    _no_halt_flag(stack.workspace, target)
    if target.llm.server is not None:
        return
    answer = constrained_completion(stack.proxied_llm, _GRAMMAR_LIMIT_S)
    if answer not in ("yes", "no"):
        raise EnvironmentProblem(
            f"the LLM server does not obey a grammar: asked for yes or no, it said {answer!r}",
            place=str(stack.proxied_llm),
            next_step="see logs/llm.log in the run directory; try another model or build",
        )


def check_faults(plan: Plan, stack: Stack) -> None:
    """Require that the running stack takes every fault, unless what it does not take is left out.

    Raises `UsageError` before anything was broken. `availability.py` has asked the plan already.
    """
    if plan.skip_unavailable:
        return
    reasons = [
        f"{fault.name}: {reason}"
        for fault in plan.faults
        if not fault.control
        and (reason := fault_kind(fault.name)(fault.name, dict(fault.params)).settled(stack))
    ]
    if reasons:
        raise unavailable(reasons, place="--fault")


def _no_halt_flag(workspace: Path, target: Target) -> None:
    for flag in (workspace / name for name in target.halt_flags):
        if flag.exists():
            raise EnvironmentProblem(
                "the halt flag is already set", place=str(flag), next_step="remove it and run again"
            )


def constrained_completion(endpoint: Endpoint, limit_s: float) -> str:
    """A completion under a grammar that allows only `yes` and `no`."""
    grammar = 'root ::= "yes" | "no"'
    try:
        answer = completion(endpoint, "Is water wet? Answer:", 4, limit_s=limit_s, grammar=grammar)
    except (NoAnswer, ValueError, TypeError) as error:
        raise EnvironmentProblem(
            f"the LLM server gives no completion: {error}",
            place=str(endpoint),
            next_step="see logs/llm.log in the run directory",
        ) from error
    return answer.strip()
