"""Start a resolved plan: provision the assets, write the run directory, start the guardian.

`start` never returns: the calling process becomes the guardian (in containers: the conductor). So
the user sees, signals and kills the same process all the time. A caller that continues after the
run uses child.py instead. Knows nothing of what a run does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from chaos.base.errors import os_errors_told
from chaos.base.exitcode import ExitCode
from chaos.base.output import failed, settled
from chaos.base.shipped import python_path
from chaos.base.yamlfile import shown
from chaos.plan.describe import head
from chaos.plan.plan import Plan
from chaos.plan.schedule import Schedule
from chaos.record import rundir
from chaos.record.owner import claim
from chaos.report.display import Display
from chaos.sandbox.command import guardian_argv
from chaos.sandbox.relay import outside_argv

if TYPE_CHECKING:
    from chaos.assets import Assets
    from chaos.runner.containers.settings import Settings


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to be started: the guardian's command line and environment.

    `hold_signals`: block run signals until the child has its handlers.
    """

    run: rundir.RunDir
    argv: list[str]
    env: dict[str, str]
    hold_signals: bool = False


RUN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_held(prepared: Prepared) -> Iterator[None]:
    """Block run signals here and in children started here, if `prepared` asks for it.

    A signal would end an interpreter that is still starting, with a traceback for Ctrl-C.
    """
    if not prepared.hold_signals:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, RUN_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(plan: Plan, schedule: Schedule, runs: Path, display: Display) -> NoReturn:
    """Provision, write the run directory, become the guardian.

    Raises `ChaosError` if the run cannot start; nothing is left running.
    """
    prepared = prepare(plan, schedule, runs, display)
    if failed():  # a run of hours would be useless if its verdict could not be printed
        sys.exit(settled(ExitCode.INVALID))
    with signals_held(prepared):
        os.execve(prepared.argv[0], prepared.argv, prepared.env)


def prepare(plan: Plan, schedule: Schedule, runs: Path, display: Display) -> Prepared:
    """Provision and write the run directory; starts nothing. Raises `ChaosError`."""
    from chaos.assets import ensure
    from chaos.assets.progress import progress_for
    from chaos.report.github import make_outputs
    from chaos.sandbox.probe import require

    out = sys.stderr if display.json else sys.stdout
    if not display.quiet:
        print(head(plan, schedule), file=out, flush=True)
    in_containers = plan.backend == "docker"
    user_namespace = not in_containers and plan.sandbox == "namespaces" and require().user
    assets = ensure(progress_for(quiet=display.quiet))
    settings = _containers(plan, assets, out, quiet=display.quiet) if in_containers else None
    make_outputs(os.environ)
    run = _written(plan, schedule, runs)
    if not display.quiet:
        print(f"run: {shown(run.path)}", file=out, flush=True)
    env = {
        **os.environ,
        **assets.environment(),
        "PYTHONPATH": python_path(os.environ.get("PYTHONPATH", "")),
    }
    python = [sys.executable, "-P", "-m"]  # -P: imports nothing from the working directory
    if settings is not None:
        settings.write(run)
        conduct = [*python, "chaos.runner.containers.conductor", str(run.path)]
        return Prepared(run, [*conduct, *display.words()], env, hold_signals=True)
    judge = [*python, "chaos", "check", str(run.path), "--reports", *display.check_words()]
    argv = guardian_argv(
        [*python, "chaos.runner.inner", str(run.path), *display.words()],
        run_id=run.run_id,
        mode="namespaces" if plan.sandbox == "namespaces" else "plain",
        user_namespace=user_namespace,
        expect=run.verdict,
        on_crash=judge,
    )
    if plan.target.llm.external and plan.sandbox == "namespaces":
        argv = outside_argv(run.path, plan.target.llm.external, argv)
    return Prepared(run, argv, env)


def _containers(plan: Plan, assets: Assets, out: TextIO, *, quiet: bool) -> Settings:
    """Engine, compose and images of a run in containers; prints the progress of builds."""
    from chaos.runner.containers.prepare import prepare as prepare_containers

    def say(text: str) -> None:
        if not quiet:
            print(text, file=out, flush=True)

    return prepare_containers(plan, assets, say)


def _written(plan: Plan, schedule: Schedule, runs: Path) -> rundir.RunDir:
    """Create the run directory with the files that the run reads."""
    run = rundir.create(runs.resolve(), plan.soak, plan.seed)
    hint = "free some space or name another folder with --runs DIR"
    with os_errors_told("cannot write the run directory", run.path, next_step=hint):
        run.write_json(run.config, plan.to_json())
        run.write_json(run.schedule, schedule.to_json())
        claim(run)
    return run
