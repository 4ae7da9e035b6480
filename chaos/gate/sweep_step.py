"""Plans the crash sweep of a gate: what is asked of it, and why it may be left out.

All is resolved before the first run starts, as for the other steps. Must not start runs.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from chaos.base.errors import UsageError, unknown_name
from chaos.checks.finding import plural
from chaos.gate.request import GateRequest
from chaos.gate.settings import SweepSettings, absolute
from chaos.runner.resolve import read_soak, resolve
from chaos.sweep.request import checked_errors, checked_kinds, control, works_of
from chaos.sweep.state import Asked

NAME = "crash sweep"
# For the plan alone: how many points there are is known only after the controls.
_POINTS_EXPECTED = 30  # of one piece of work
_RUN_S = 12.0  # of a control or a break


@dataclass(frozen=True)
class SweepStep:
    """The crash sweep of a gate. `place`: so many runs are made before it.

    `left_out`: why it is not made; "" if it is. `digest`: SHA-256 (hex) of all that decides it.
    """

    asked: Asked
    after: str  # the soak that it follows
    place: int
    left_out: str
    digest: str

    name = NAME

    @property
    def planned_s(self) -> float:
        """The expected duration."""
        works = len(self.asked.work)
        points = self.asked.sample or _POINTS_EXPECTED * works
        return (2 * works + points * len(_columns(self.asked))) * _RUN_S

    @property
    def text(self) -> str:
        """'12 points drawn by the seed, crash' or 'all points, crash, error EIO'."""
        sample = self.asked.sample
        points = f"{plural(sample, 'point')} drawn by the seed" if sample else "all points"
        return f"{points}, {', '.join(_columns(self.asked))}"


def sweep_step(
    request: GateRequest, settings: SweepSettings, after: str, place: int, work_place: str
) -> SweepStep:
    """Return the sweep of this gate. `after`: the soak that it follows, `place` runs before it.

    Raises `UsageError` at `work_place` for a kind of work that the target lacks.
    """
    _, experiment = read_soak(after)
    target = request.target or absolute(experiment.target)
    works = works_of(target)
    for work in settings.work:
        if work not in works:
            raise unknown_name("kind of work", work, works, place=work_place)
    asked = Asked(
        target=None if target == "reference" else target,
        work=settings.work or works,
        kinds=checked_kinds(",".join(settings.kinds)),
        errors=checked_errors(settings.errors) if "error" in settings.kinds else (),
        sample=None if settings.points == "all" else settings.points,
        chosen=(),
        seed=request.seed,
        backend=request.backend,
        sandbox=request.sandbox,
        gpu=request.gpu,
    )
    left_out = _left_out(request, after)
    controls: list[dict[str, Any]] = []
    if not left_out:
        try:
            controls = [_control(asked, work) for work in asked.work]
        except UsageError as error:  # the soaks of this gate resolve: it is the sweep's alone
            left_out = f"no piece of work can be planned: {error.message}"
    content = {
        "asked": msgspec.to_builtins(asked),
        "after": experiment.soak,
        "left_out": left_out,
        "controls": controls,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return SweepStep(asked, experiment.soak, place, left_out, digest)


def _left_out(request: GateRequest, after: str) -> str:
    if request.no_sweep:
        return "--no-sweep"
    if after not in request.soaks:
        return f"it follows {after}, which is left out"
    if request.witness == "none":
        return "--witness none: without the witness of system calls no point is seen"
    return ""


def _control(asked: Asked, work: str) -> dict[str, Any]:
    request = control(asked.target, work, asked.seed, asked.backend)
    return resolve(replace(request, sandbox=asked.sandbox, gpu=asked.gpu)).to_json()


def _columns(asked: Asked) -> list[str]:
    """The kinds of break, an error each: 'crash', 'error EIO'."""
    return [
        f"{kind} {error}".strip()
        for kind in asked.kinds
        for error in (asked.errors if kind == "error" else [""])
    ]
