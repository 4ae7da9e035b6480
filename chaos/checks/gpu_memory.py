"""GPU memory: the level before, growth over the run, and whether it is freed between dispatches.

Judged for each GPU and MIG instance, and for what each service holds where the driver's process
numbers can be told; fault windows are left out. Growth compares like with like: the lowest use
while the LLM server is stopped, or the usual use while it runs.
"""

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, depends_on
from chaos.checks.finding import Finding, Outcome
from chaos.checks.gpu_losses import own_losses
from chaos.checks.gpu_rest import Rests
from chaos.checks.gpu_signal import compared, judged_device, judged_owner
from chaos.record.open_run import OpenRun

_WORST: tuple[Outcome, ...] = ("fail", "inconclusive", "pass")


class GPUMemoryParams(Params, frozen=True):
    """`limit_mb`: what may stay in use more than before: at the end of the run more than at its
    beginning, and between dispatches more than without any. `limit_mb_per_request`: how fast the
    use at rest may grow with the work, however short the run.
    """

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 100.0
    limit_mb_per_request: Annotated[float, msgspec.Meta(gt=0)] = 5.0


def judge(run: OpenRun, params: GPUMemoryParams) -> list[Finding]:
    """The plan, soak C, "GPU VRAM: should be low between dispatches"."""
    rests = Rests(run)
    if not run.gpu_signals:
        return [_unseen(run)]
    limits = (params.limit_mb, params.limit_mb_per_request)
    judged = [judged_device(rests, key, *limits) for key in rests.devices]
    owners = [judged_owner(rests, key, *limits) for key in rests.holders]
    judged += [one for one in owners if one is not None]
    if not judged:
        return [_unseen(run)]
    outcome = next(o for o in _WORST if any(one.outcome == o for one in judged))
    shown = [one for one in judged if one.outcome == outcome]
    worst = max(shown, key=lambda one: one.grown_mb)
    lost = _lost(run)
    outside = outcome == "inconclusive" and (bool(lost) or any(one.outside for one in shown))
    if outcome == "pass":
        text = f"no growth and nothing left over on {', '.join(one.name for one in judged)}"
        text += _no_level(rests)
    else:
        text = "; ".join(one.text for one in shown)
    return [
        Finding(
            outcome=outcome,
            owner="infrastructure" if outside else "product",
            summary=f"{text} (limit {params.limit_mb:g} MB){_untold(run)}{lost}",
            measured=round(worst.grown_mb, 3),
            limit=params.limit_mb,
            evidence=[run.evidence(one.line, one.text) for one in shown],
        )
    ]


def _no_level(rests: Rests) -> str:
    """Where what is left over cannot be told from what was there before, and why."""
    names = [key.partition(".")[0] for key in rests.devices]
    unknown = [f"{name}: {why}" for name in names if (why := rests.before_stack(name)[1])]
    return f"; level before the stack not known ({'; '.join(unknown[:4])})" if unknown else ""


def _unseen(run: OpenRun) -> Finding:
    """No driver is no GPU; a GPU of which nothing may be known is not sound for that."""
    absent = {
        str(event.detail.get("source")): str(event.detail.get("reason"))
        for _, event in run.named("source_absent")
        if str(event.detail.get("source")).startswith("gpu")
    }
    named = [f"{name}: {why}" for name, why in absent.items() if name != "gpu"]
    if not named:
        return Finding(outcome="skipped", summary="no GPU was sampled here")
    text = f"there is a GPU, and its memory cannot be seen here ({'; '.join(sorted(named)[:4])})"
    return Finding(outcome="inconclusive", owner="infrastructure", summary=text + _lost(run))


def _untold(run: OpenRun) -> str:
    """Why processes are not told apart."""
    why = {
        str(event.detail.get("reason"))
        for _, event in run.named("source_absent")
        if str(event.detail.get("source")).startswith("gpu")
        and str(event.detail.get("source")).endswith(".processes")
    }
    return f"; processes not told apart: {'; '.join(sorted(why)[:2])}" if why else ""


def _lost(run: OpenRun) -> str:
    """What became of the GPUs themselves."""
    return "".join(
        f"; {event.detail.get('device', 'a GPU')} was lost at {event.t_s:.1f} s, by no fault of "
        "the schedule"
        for _, event in own_losses(run)[:4]
    )


def gpu_growth_mb(run: OpenRun) -> tuple[float, int] | None:
    """(MB, history line): how much more GPU memory is in use in the last third than in the first
    one, on the worst GPU; None without a GPU.
    """
    rests = Rests(run)
    grown = [
        ((late.used_bytes - early.used_bytes) / 1e6, late.line)
        for key in rests.devices
        for early, late, _ in [compared(rests, rests.readings(key))]
        if early is not None and late is not None
    ]
    return max(grown, default=None)


CHECK = Check(
    name="gpu_memory",
    title="GPU memory",
    origin="plan, soak C: GPU VRAM between dispatches",
    judge=judge,
    params=GPUMemoryParams,
    depends=depends_on("stack"),
)
