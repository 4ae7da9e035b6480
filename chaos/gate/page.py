"""`report.html` of a gate: its verdict, a matrix of its runs, what failed, and how to repeat it.

The look is that of the page of a run. Must not read or write files, except to see which exist.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from chaos.base.units import bytes_text
from chaos.checks.finding import Finding
from chaos.gate.request import GateRequest
from chaos.gate.run_numbers import RunNumbers
from chaos.gate.state import GateDir, GateState, GateVerdict, StepState
from chaos.gate.sweep_view import sweep_view
from chaos.report.pages import page_text
from chaos.report.stored import Stored
from chaos.report.words import ORDER
from chaos.runner.options import CONTROL
from chaos.sweep.state import Sweep

_CSS = {"PRODUCTION-READY": "pass", "NEEDS FIXES": "fail", "NOT PROVEN": "inconclusive"}
_MEANING = {
    "PRODUCTION-READY": "all that this gate asks for passes, on the same system",
    "NEEDS FIXES": "at least one run shows a defect of the daemon",
    "NOT PROVEN": "no defect is shown, and not all that a complete gate asks for is proven",
}


@dataclass(frozen=True)
class Cell:
    """One run of the matrix; `page` is the address of its report, "" if there is none."""

    step: StepState
    page: str
    counts: list[tuple[str, int]]
    faults: list[str]
    numbers: list[tuple[str, str]]  # (name, value) of what was measured


@dataclass(frozen=True)
class OpenFinding:
    """A finding that does not pass, and the run that has it."""

    step: StepState
    finding: Finding
    address: str


def gate_page(
    folder: GateDir,
    state: GateState,
    verdict: GateVerdict,
    runs: Mapping[str, Stored],
    numbers: Mapping[str, RunNumbers],
    sweep: Sweep | None = None,
) -> str:
    """The page. `runs` and `numbers` map the name of each finished step to those of its run.

    `sweep` is the crash sweep, None if it was not made.
    """
    cells = {
        step.name: _cell(folder, step, runs.get(step.name), numbers.get(step.name))
        for step in state.steps
    }
    findings = [found for cell in cells.values() for found in _open(cell, runs)]
    findings.sort(key=lambda found: ORDER.index(found.finding.outcome))
    words = [found.finding.outcome for found in findings]
    return page_text(
        "gate.html.jinja",
        package="chaos.gate",
        style="gate.css.jinja",
        state=state,
        verdict=verdict,
        css=_CSS[verdict.verdict],
        meaning=_MEANING[verdict.verdict],
        rows=_matrix(state, cells),
        sweep=sweep_view(folder, state.sweep, sweep),
        lasted_s=sum(step.lasted_s or 0.0 for step in state.to_make),
        findings=findings,
        counts=[(word, words.count(word)) for word in ORDER if word in words],
        history=_history(state),
        left_out=_left_out(state),
        command=command_of(state.request),
        files=[
            (path.name, text)
            for path, text in (
                (folder.state, "request, steps and verdict"),
                (folder.changelog, "the entry for the changelog"),
                (folder.junit, "all runs as JUnit"),
            )
        ],
    )


def _cell(
    folder: GateDir, step: StepState, stored: Stored | None, numbers: RunNumbers | None
) -> Cell:
    run = folder.run(step)
    has_page = step.run is not None and run is not None and (run.path / "report.html").is_file()
    page = quote(f"{step.run}/report.html") if has_page else ""
    outcomes = [f.outcome for f in stored.verdict.findings] if stored else []
    return Cell(
        step=step,
        page=page,
        counts=[(word, outcomes.count(word)) for word in ORDER if word in outcomes],
        faults=list(dict.fromkeys(f.name for f in stored.verdict.faults)) if stored else [],
        numbers=_numbers(step, numbers) if numbers else [],
    )


def _numbers(step: StepState, numbers: RunNumbers) -> list[tuple[str, str]]:
    growth = numbers.memory_delta_bytes
    rows = [
        ("requests", numbers.requests),
        ("cycles", numbers.cycles),
        ("draws", numbers.draws),
        ("errors", numbers.errors),
        ("fallbacks", numbers.fallbacks),
        ("faults proven", None if step.control else numbers.faults),
    ]
    texts = [(name, str(value)) for name, value in rows if value is not None]
    if growth is not None:
        texts.append(("memory", f"{'+' if growth >= 0 else ''}{bytes_text(growth)}"))
    return texts


def _matrix(state: GateState, cells: Mapping[str, Cell]) -> list[tuple[str, Sequence[Cell | None]]]:
    """(soak, [its clean run, its run under faults]); None where the gate has no such run."""
    rows: list[tuple[str, Sequence[Cell | None]]] = []
    for soak in dict.fromkeys(step.soak for step in state.steps):
        of_soak = [step for step in state.steps if step.soak == soak]
        pair = [
            next((cells[step.name] for step in of_soak if step.control is control), None)
            for control in (True, False)
        ]
        rows.append((soak, pair))
    return rows


def _open(cell: Cell, runs: Mapping[str, Stored]) -> list[OpenFinding]:
    if cell.step.name not in runs:
        return []
    return [
        OpenFinding(cell.step, finding, f"{cell.page}#finding-{number}" if cell.page else "")
        for number, finding in enumerate(runs[cell.step.name].verdict.findings, start=1)
        if finding.outcome not in ("pass", "skipped")
    ]


def _history(state: GateState) -> list[tuple[str, str]]:
    """(run, what happened to it besides): repeated attempts, notes, removed leftovers."""
    rows = []
    for step in state.steps:
        if len(step.attempts) > 1:
            rows.append(
                (step.name, f"begun {len(step.attempts)} times: {', '.join(step.attempts)}")
            )
        rows += [(step.name, note) for note in step.notes if not note.startswith("left out")]
        rows += [(step.name, f"had left {leftover}, removed") for leftover in step.left]
    if state.sweep is not None:
        name = state.sweep.name
        rows += [(name, note) for note in state.sweep.notes]
        rows += [(name, f"had left {leftover}, removed") for leftover in state.sweep.left]
    return rows


def _left_out(state: GateState) -> list[str]:
    rows = [f"{step.name}: not run" for step in state.to_make if step.state != "done"]
    if state.sweep is not None and state.sweep.left_out:
        rows.append(f"{state.sweep.name}: {state.sweep.left_out}")
    return rows + [
        f"{step.name}: {note}"
        for step in state.steps
        for note in step.notes
        if note.startswith("left out")
    ]


def command_of(request: GateRequest) -> str:
    """The command that repeats the gate."""
    words = ["chaos", "gate", "--config", request.file, "--profile", request.profile]
    words += ["--soaks", ",".join(request.soaks)]
    for fault in request.faults or (CONTROL,):
        words += ["--fault", fault]
    words += ["--seed", str(request.seed)]
    for option, value, default in (
        ("--target", request.target, None),
        ("--sandbox", request.sandbox, "namespaces"),
        ("--backend", request.backend, "local"),
        ("--witness", request.witness, "all"),
    ):
        if value != default:
            words += [option, str(value)]
    words += ["--gpu"] if request.gpu else []
    words += ["--no-sweep"] if request.no_sweep else []
    words += ["--skip-unavailable"] if request.skip_unavailable else []
    return shlex.join(words)
