"""What a sweep asks of a single run: a control, or one break at one point. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from chaos.base.errors import UsageError, unknown_name
from chaos.base.shipped import EXPERIMENTS
from chaos.plan.plan import Backend
from chaos.plan.request_template import PLAN_KINDS
from chaos.plan.schedule import GAP_MS_MIN, LEAD_MS
from chaos.runner.resolve import Request, read_target
from chaos.sweep.points import Point

Kind = Literal["crash", "crash_all", "error", "power"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR")
DEFAULT_ERRORS = ("EIO", "ENOSPC")
SOAK = str(EXPERIMENTS / "sweep" / "sweep_point.yaml")
HOLD_S_MIN = 20.0  # how long a point is waited for
# Of the storm, beyond the wait: so the break comes at the first moment at which one may come.
_MARGIN_S = (LEAD_MS + GAP_MS_MIN) / 1000
_TIMES = 3.0  # a busy machine may take so much longer than it took in the control


@dataclass(frozen=True)
class Break:
    """One break at one point; `error` only for the kind `error`."""

    point: Point
    kind: Kind
    error: str = ""

    @property
    def column(self) -> str:
        """'crash', 'error EIO'."""
        return f"{self.kind} {self.error}".strip()

    def fault(self, hold_s: float) -> str:
        """The `--fault` of its run."""
        point = self.point
        where = (
            f"call={point.call},path={point.pattern},nth={point.nth},until=proof,hold={hold_s:g}s"
        )
        if self.kind == "error":
            return f"syscall_error:{where},times=1,error={self.error},may_end=yes"
        who = "any" if self.kind == "crash" else "all"
        power = ",power=fails" if self.kind == "power" else ""
        return f"syscall_crash:{where},who={who}{power}"


def breaks(points: Sequence[Point], kinds: Sequence[Kind], errors: Sequence[str]) -> list[Break]:
    """All breaks of a sweep: kind by kind, each along the life of the request."""
    found = []
    for kind in kinds:
        for error in errors if kind == "error" else ("",):
            found += [Break(point, kind, error) for point in points]
    return found


def checked_kinds(text: str) -> tuple[Kind, ...]:
    """'crash,error' -> both. Raises `UsageError` with the nearest name."""
    kinds = []
    for word in dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))):
        if word not in KINDS:
            raise unknown_name("kind of break", word, KINDS, place="--kind")
        kinds.append(next(kind for kind in KINDS if kind == word))
    if not kinds:
        raise UsageError("no kind of break", place="--kind", next_step=", ".join(KINDS))
    return tuple(kinds)


def checked_errors(texts: Sequence[str]) -> tuple[str, ...]:
    """The names of errors that calls fail with. Raises `UsageError` with the nearest name."""
    words = [part.strip().upper() for text in texts for part in text.split(",") if part.strip()]
    for word in words:
        if word not in ERRORS:
            raise unknown_name("error", word, ERRORS, place="--error")
    return tuple(dict.fromkeys(words)) or DEFAULT_ERRORS


def works_of(target: str) -> tuple[str, ...]:
    """The kinds of work of a target; one that names none takes the plan's first."""
    return tuple(read_target(target)[1].work.kinds) or PLAN_KINDS[:1]


def hold_s(control_s: float) -> float:
    """How long a point is waited for; `control_s`: how long the piece took in the control."""
    return round(max(HOLD_S_MIN, _TIMES * control_s), 1)


def control(target: str | None, work: str, seed: int, backend: Backend) -> Request:
    """The run without a break, from which the points are taken."""
    return Request(
        soak=SOAK,
        target=target,
        faults=("none",),
        seed=seed,
        backend=backend,
        overrides=(f"settings.work_kind={work}", "settings.submit_at=start"),
    )


def broken(
    target: str | None, one: Break, seed: int, backend: Backend, control_s: float
) -> Request:
    """The run in which that break strikes."""
    wait_s = hold_s(control_s)
    return Request(
        soak=SOAK,
        target=target,
        faults=(one.fault(wait_s),),
        seed=seed,
        backend=backend,
        overrides=(
            f"settings.work_kind={one.point.work}",
            "settings.submit_at=fault",
            f"storm_s={wait_s + _MARGIN_S:g}",
        ),
    )
