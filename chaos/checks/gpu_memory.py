"""GPU memory: what stays in use at its lowest, when the LLM server is stopped, is left over."""

from __future__ import annotations

from typing import Annotated

import msgspec

from chaos.checks.base import Check, Params, needs
from chaos.checks.finding import Finding
from chaos.checks.run_view import RunView


class GPUMemoryParams(Params, frozen=True):
    """`limit_mb`: rise of the lowest use, from the first third of the run to the last one."""

    limit_mb: Annotated[float, msgspec.Meta(gt=0)] = 100.0


def judge(view: RunView, params: GPUMemoryParams) -> list[Finding]:
    """The plan, soak C, "GPU VRAM: should be low between dispatches"."""
    if not view.samples.gpu_keys():
        return [Finding(outcome="skipped", summary="no GPU was sampled here")]
    found = gpu_growth_mb(view)
    if found is None:
        return [Finding(outcome="inconclusive", summary="GPU memory was sampled too rarely")]
    grown_mb, line = found
    return [
        Finding(
            outcome="fail" if grown_mb > params.limit_mb else "pass",
            summary=f"GPU memory in use at its lowest changed by {grown_mb:+.0f} MB from the first "
            f"third to the last (limit {params.limit_mb:g} MB)",
            measured=round(grown_mb, 3),
            limit=params.limit_mb,
            evidence=[view.evidence(line, "the lowest use in the last third")],
        )
    ]


def gpu_growth_mb(view: RunView) -> tuple[float, int] | None:
    """(MB, history line): how much the lowest use of GPU memory rose from the first third to the
    last, on the worst GPU; None without a GPU.
    """
    import numpy as np

    start_s, end_s = view.measured_span_s()
    third_s = (end_s - start_s) / 3
    table = view.samples
    worst: tuple[float, int] | None = None
    for key in table.gpu_keys():
        used = table.column(key)
        there = used == used
        early = there & (table.t_s <= start_s + third_s)
        late = there & (table.t_s >= end_s - third_s)
        if not early.any() or not late.any():
            continue
        lowest = int(np.argmin(np.where(late, used, np.inf)))
        grown_mb = (float(used[lowest]) - float(used[early].min())) / 1e6
        if worst is None or grown_mb > worst[0]:
            worst = grown_mb, int(table.lines[lowest])
    return worst


CHECK = Check(
    name="gpu_memory",
    title="GPU memory",
    origin="plan, soak C: GPU VRAM between dispatches",
    judge=judge,
    params=GPUMemoryParams,
    needs=needs("stack"),
)
