"""Puts the parts of one run together, inside the sandbox: the only place that knows them all."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from chaos.assets import cache, locate
from chaos.errors import ChaosError
from chaos.history import HistoryWriter
from chaos.plan import Plan
from chaos.provenance import gather
from chaos.report.github import outputs
from chaos.report.live import LiveView, Mode
from chaos.run import Run, repo_root
from chaos.rundir import RunDir
from chaos.sandbox.enter import enter, inside
from chaos.schedule import Schedule
from chaos.stack.local import LocalBackend
from chaos.stack.programs import programs_sha256
from chaos.stopping import StopSignal


@dataclass(frozen=True)
class Assembled:
    """A run that only has to be lived, what shows it, and what records it."""

    run: Run
    view: LiveView
    history: HistoryWriter


def assemble(rundir: RunDir, stop: StopSignal, display: Mode, *, no_color: bool) -> Assembled:
    """Read the plan, enter the sandbox, and build backend, history and view.

    Raises `ChaosError` for what keeps the run from starting; nothing is running by then.
    """
    plan = Plan.from_json(rundir.read_json(rundir.config))
    schedule = Schedule.from_json(rundir.read_json(rundir.schedule))
    assets = locate()
    if inside():
        parts = [rundir.path, repo_root(), cache.cache_dir(), *assets.files]
        enter([*parts, *outputs(os.environ)])
    elif plan.sandbox == "namespaces":
        raise ChaosError("not in a sandbox", next_step="start the run with `chaos run`")
    described = {name: value and str(value) for name, value in asdict(assets).items()}
    images = repo_root() / "images"
    programs = {"programs_sha256": programs_sha256(plan.target, images)}
    gathered = gather(repo_root(), described, assets.proxy(), programs)
    rundir.write_json(rundir.provenance, gathered)
    view = LiveView(plan, schedule, display, no_color=no_color)
    history = HistoryWriter(rundir.history, rundir.run_id, listener=view.on_record)
    backend = LocalBackend(
        plan.target,
        plan.profile.settings,
        rundir,
        assets,
        images,
        sandboxed=inside(),
        cancel=stop.event,
        needs=plan.needs,
    )
    return Assembled(Run(plan, schedule, rundir, backend, history, stop), view, history)
