"""Assemble the parts of one run, inside the sandbox. The only module that knows all of them."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from chaos.assets import cache, locate
from chaos.base.errors import ChaosError
from chaos.base.shipped import IMAGES, IMPORT_ROOT, ROOT
from chaos.base.stopping import StopSignal
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record.history import HistoryWriter
from chaos.record.rundir import RunDir
from chaos.report.display import Display
from chaos.report.github import outputs
from chaos.report.live import LiveView
from chaos.runner.provenance import gather
from chaos.runner.run import Run
from chaos.sandbox.enter import enter, inside
from chaos.stack import programs
from chaos.stack.local.backend import LocalBackend


@dataclass(frozen=True)
class Assembled:
    """A run that is ready to be executed, with its view and its history."""

    run: Run
    view: LiveView
    history: HistoryWriter


def assemble(rundir: RunDir, stop: StopSignal, display: Display) -> Assembled:
    """Read the plan, enter the sandbox, and build backend, history and view.

    Raises `ChaosError` if the run cannot start; nothing was started then.
    """
    plan = Plan.from_json(rundir.read_json(rundir.config))
    schedule = Schedule.from_json(rundir.read_json(rundir.schedule))
    assets = locate()
    if inside():
        parts = [rundir.path, IMPORT_ROOT, cache.cache_dir(), *assets.files]
        parts += [IMAGES / item.source for item in plan.target.workspace.install]
        parts += [Path(plan.target.llm.model)] if plan.target.llm.model else []
        enter([*parts, *outputs(os.environ)])
    elif plan.sandbox == "namespaces":
        raise ChaosError("not in a sandbox", next_step="start the run with `chaos run`")
    described = {name: value and str(value) for name, value in asdict(assets).items()}
    watcher = programs.described(plan.target, IMAGES)
    gathered = gather(ROOT, described, assets.proxy(), watcher)
    rundir.write_json(rundir.provenance, gathered)
    view = LiveView(plan, schedule, display)
    history = HistoryWriter(rundir.history, rundir.run_id, listener=view.on_record)
    backend = LocalBackend(
        plan.target,
        plan.profile.settings,
        rundir,
        assets,
        IMAGES,
        sandboxed=inside(),
        cancel=stop.event,
        needs=plan.needs,
    )
    return Assembled(Run(plan, schedule, rundir, backend, history, stop), view, history)
