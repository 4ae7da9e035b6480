"""The gates of a list: the fields of `gate.json` that a list shows.

Reads only. Must not know how a gate is run.
"""

from itertools import islice
from pathlib import Path

import msgspec

from chaos.record.list_fields import began_s, fields_of, kept

GATES = "gate"  # the folder of the gates


class StepEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a gate. `run` is the id of its run, "" if it has none yet."""

    name: str
    soak: str
    control: bool
    state: str
    verdict: str | None = None
    run: str = ""


class GateSweep(msgspec.Struct, frozen=True, kw_only=True):
    """The crash sweep of a gate. `sweep` is the id of its sweep, "" if it has none yet.

    `left_out`: why it is not made, "" if it is.
    """

    name: str
    state: str
    verdict: str | None = None
    word: str = ""
    left_out: str = ""
    counts: dict[str, int] = {}
    sweep: str = ""


class GateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One gate. `verdict` is "" as long as there is none."""

    id: str
    began_epoch_s: float = 0.0
    verdict: str = ""
    reason: str = ""
    state: str = ""
    profile: str = ""
    steps: tuple[StepEntry, ...] = ()
    sweep: GateSweep | None = None
    problem: str = ""


class _Request(msgspec.Struct):
    profile: str = ""


class _Step(msgspec.Struct):
    name: str
    soak: str = ""
    control: bool = False
    state: str = ""
    run: str | None = None
    verdict: str | None = None


class _GateSweep(msgspec.Struct):
    name: str = ""
    state: str = ""
    verdict: str | None = None
    word: str = ""
    left_out: str = ""
    counts: dict[str, int] = {}
    sweep: str | None = None


class _GateVerdict(msgspec.Struct):
    verdict: str
    reason: str = ""


class _Gate(msgspec.Struct):
    created: str = ""
    state: str = ""
    request: _Request = msgspec.field(default_factory=_Request)
    steps: list[_Step] = []
    sweep: _GateSweep | None = None
    verdict: _GateVerdict | None = None


def gate_entry(root: Path, gate_id: str) -> GateEntry:
    """The entry of the gate in that folder below `root`."""
    gate, problem = fields_of(root, f"{gate_id}/gate.json", _Gate)
    began = began_s(root, gate_id)
    if gate is None:
        return GateEntry(id=gate_id, problem=problem, began_epoch_s=began)
    steps = [
        StepEntry(
            name=kept(step.name),
            soak=kept(step.soak),
            control=step.control,
            state=kept(step.state),
            verdict=None if step.verdict is None else kept(step.verdict),
            run=f"{gate_id}/{step.run}" if step.run else "",
        )
        for step in gate.steps
    ]
    return GateEntry(
        id=gate_id,
        began_epoch_s=began,
        verdict=kept(gate.verdict.verdict) if gate.verdict else "",
        reason=kept(gate.verdict.reason) if gate.verdict else "",
        state=kept(gate.state),
        profile=kept(gate.request.profile),
        steps=tuple(steps),
        sweep=_gate_sweep(gate_id, gate.sweep) if gate.sweep else None,
    )


def _gate_sweep(gate_id: str, sweep: _GateSweep) -> GateSweep:
    return GateSweep(
        name=kept(sweep.name),
        state=kept(sweep.state),
        verdict=None if sweep.verdict is None else kept(sweep.verdict),
        word=kept(sweep.word),
        left_out=kept(sweep.left_out),
        counts={kept(word): count for word, count in islice(sweep.counts.items(), 8)},
        sweep=f"{gate_id}/{sweep.sweep}" if sweep.sweep else "",
    )
