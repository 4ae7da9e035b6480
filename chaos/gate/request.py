"""The request of a gate: what its options and its file ask for. Knows nothing of plans."""

import msgspec

from chaos.plan.plan import Backend, Sandbox, Witness


class GateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The complete request of a gate. It is stored, and alone determines the plan."""

    file: str
    profile: str
    soaks: tuple[str, ...]
    faults: tuple[str, ...]
    seed: int
    target: str | None = None
    sandbox: Sandbox = "namespaces"
    backend: Backend = "local"
    witness: Witness = "all"
    gpu: bool = False
    skip_unavailable: bool = False
    no_sweep: bool = False
