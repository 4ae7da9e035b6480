"""What a fault is: parameters, and the six steps of its life. Knows no particular kind.

*available? -> ledger -> inject -> effect proven -> hold -> recover -> recovery proven -> ledger
closed*: `lifecycle.py` takes these steps; a kind only says how each is done on a stack.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from chaos.base.deadline import Deadline
from chaos.base.errors import UsageError, unknown_name
from chaos.faults.params import WEIGHT, FaultParams, Value, declared
from chaos.record.recovery_paths import NO_PATH
from chaos.record.target import Target
from chaos.stack.base import Stack

Group = Literal[
    "llm_tcp",
    "llm_wire",
    "llm_process",
    "disk",
    "queue",
    "process",
    "syscall",
    "machine",
    "gpu",
    "other",
]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Evidence:
    """What a probe measured: whether it proves the claim, and the measurements themselves."""

    proven: bool
    measured: dict[str, Any]

    def plus(self, **more: Any) -> Self:
        """A copy with `more` measurements added."""
        return type(self)(self.proven, self.measured | more)


def probe(
    look: Callable[[dict[str, Any]], bool],
    deadline: Deadline,
    pause_s: float,
    measured: dict[str, Any] | None = None,
    *,
    look_s: float = 0.0,
) -> Evidence:
    """Call `look` until it returns True (proven) or the deadline is over.

    `look` adds its measurements to the dictionary that it gets, at first `measured`; they are the
    evidence. It is called at least once, unless it takes `look_s`: then only if that is left. If
    `measured` has `attempts`, calls are counted there.
    """
    measured = {} if measured is None else measured
    while deadline.left_s() >= look_s:
        if "attempts" in measured:
            measured["attempts"] += 1
        if look(measured):
            return Evidence(True, measured)
        if not deadline.wait(pause_s):
            break
    return Evidence(False, measured)


@dataclass(frozen=True)
class PlannedStack:
    """What a plan says of the stack that its run will have. Of the first four, see `Stack`."""

    target: Target
    sandboxed: bool
    can_mount: bool
    daemon: bool
    injects: bool  # the workload starts the injector
    witnessed: bool  # system calls are to be witnessed
    gpu: bool  # its programs see the GPUs of this machine


class Fault(ABC):
    """One scheduled occurrence of a kind, with its parameters. Derive a kind from this.

    `available` returns the reason why it cannot be injected here, or None. A reason that is known
    before the start belongs into `available_in`, so that the run is refused. The result of
    `undo_record` is written to the ledger before `inject`. There a kind also measures what `effect`
    compares with: `inject` must do nothing but break, because the negative control (`noop_twin`) is
    the same fault without it. `undo` needs only that record, is idempotent, and touches only what
    the record names. `effect` and `recovered` look until they have proof or the deadline is over.

    Class attributes:

    - `scope`: a fault of scope `stack` ends with the stack; one of scope `host` outlives it until
      it is undone.
    - `needs`: parts that the backend starts only for kinds that need them (`wire`: the HTTP proxy;
      `clock`: the Watcher's clock can be changed).
    - `affects_llm`: while it lasts, and for the reconnection allowance after it, a decision
      without the LLM is legal.
    - `ends`: services that it ends or restarts, so that their absence is expected.
    - `ends_at_proof`: True for an occurrence that is over as soon as its effect is proven.
    - `compatible_groups`: groups of kinds that may be in force at the same time. Two kinds overlap
      only if each names the other's group, because the probes of both must stay valid.
    - `evidence`: keys of its measurements, each with its meaning, that `EVIDENCE`
      (chaos/record/evidence_keys.py) does not declare. Any other key raises `UndeclaredName`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    group: ClassVar[Group] = "other"
    scope: ClassVar[Literal["stack", "host"]] = "stack"
    # The path of the triage guide that it exercises, and how the Watcher recovers
    # (chaos/record/recovery_paths.py).
    triage_path: ClassVar[str] = NO_PATH
    reconnection_path: ClassVar[str] = NO_PATH
    Params: ClassVar[type[FaultParams]] = FaultParams
    needs: ClassVar[frozenset[str]] = frozenset()
    affects_llm: ClassVar[bool] = False
    ends: frozenset[str] = frozenset()  # an occurrence may set its own
    ends_at_proof = False  # an occurrence may set its own
    compatible_groups: ClassVar[frozenset[str]] = frozenset()
    evidence: ClassVar[dict[str, str]] = {}
    recovery_limit_s: ClassVar[float] = 20.0  # for `recovered`
    params: FaultParams  # a kind that declares `Params` sets this type, too

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        """`values` are those of `parse_params` or of a stored schedule."""
        self.fault_id = fault_id
        self.params = self.Params(**values)  # type: ignore[arg-type]

    @abstractmethod
    def available(self, stack: Stack) -> str | None:
        """Why it cannot be injected into this stack now, or None."""

    def settled(self, stack: Stack) -> str | None:
        """A reason of `available` that will stay. Asked before the baseline; None: no such one."""
        return None

    @classmethod
    def available_here(cls) -> str | None:
        """Why it cannot be injected on this machine, or None. Starts no process."""
        return None

    def available_in(self, planned: PlannedStack) -> str | None:
        """Why it cannot be injected in a run with this stack, or None. Starts no process.

        Raises `UnknownName` for a parameter that names what the target does not have.
        """
        return self.available_here()

    @abstractmethod
    def undo_record(self, stack: Stack) -> dict[str, Any]:
        """What `undo` needs, as JSON data. `planted`: see `chaos.record.fault_window`."""

    @abstractmethod
    def inject(self, stack: Stack) -> None:
        """Break the stack. Returns when the break is in force."""

    @abstractmethod
    def effect(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Prove by measurement that the break has its effect."""

    @abstractmethod
    def recover(self, stack: Stack) -> None:
        """Heal the stack."""

    @abstractmethod
    def recovered(self, stack: Stack, deadline: Deadline) -> Evidence:
        """Prove by measurement that the break is over."""

    @staticmethod  # noqa: B027
    def undo(record: dict[str, Any]) -> None:
        """Heal by the record alone, after the end of the run. Default: do nothing."""

    def traits(self) -> dict[str, Any]:
        """What checks and reports need to know of the kind. Recorded with each occurrence."""
        return {
            "group": self.group,
            "affects_llm": self.affects_llm,
            "ends": sorted(self.ends),
            "summary": self.summary,
        }


def cannot_mount(stack: Stack | PlannedStack) -> str | None:
    """Why no file system can be mounted in this stack, or None."""
    if stack.can_mount:
        return None
    return "containers have mounts of their own, without the right to mount: --backend local"


def may_overlap(one: type[Fault], other: type[Fault]) -> bool:
    """True if two kinds may be in force at the same time."""
    return one.group in other.compatible_groups and other.group in one.compatible_groups


def noop_twin(kind: type[Fault]) -> type[Fault]:
    """The negative control: `kind` without its `inject` and `recover`. It must prove no effect."""

    class Twin(kind):  # type: ignore[valid-type, misc]
        def inject(self, stack: Stack) -> None:
            """Break nothing: the control."""

        def recover(self, stack: Stack) -> None:
            """Heal nothing: nothing was broken."""

    Twin.__name__ = Twin.__qualname__ = f"{kind.__name__}Twin"
    return Twin


def parse_params(kind: type[Fault], raw: dict[str, Value], *, place: str) -> dict[str, Value]:
    """Check and convert the parameters given for `kind`, and add defaults.

    Raises `UsageError` for an unknown name (with the nearest), a bad value, or parameters that
    exclude each other.
    """
    known = {param.name: param for param in (*declared(kind.Params), WEIGHT)}
    for name in raw:
        if name not in known:
            raise unknown_name(f"parameter of {kind.name}", name, known, place=place)
    if "count" in raw and "period" in raw:
        raise UsageError("count and period exclude each other", place=place, next_step="give one")
    values = {name: param.default for name, param in known.items() if param.default is not None}
    values.update({name: known[name].parse(value, place=place) for name, value in raw.items()})
    if "period" not in values:
        values.setdefault("count", 1)
    own = {name: value for name, value in values.items() if name != WEIGHT.name}
    problem = kind.Params(**own).problem()  # type: ignore[arg-type]
    if problem:
        raise UsageError(problem, place=place, next_step=f"see `chaos faults {kind.name}`")
    return values
