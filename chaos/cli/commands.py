"""One function per command: from its options to its exit code.

Each function imports what it needs when it is called, so that `chaos --help` stays fast. Parsing,
help and the printing of errors are in main.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chaos.base.errors import ChaosError, UsageError
from chaos.base.exitcode import ExitCode

_BEYOND_BUDGET_S = 600.0

if TYPE_CHECKING:
    from chaos.attest.options import AttestOptions, VerifyOptions
    from chaos.campaign.options import CampaignOptions
    from chaos.cli import options as opt
    from chaos.compare.options import CompareOptions
    from chaos.doctor.options import DoctorOptions
    from chaos.gate.options import GateOptions
    from chaos.monitor.options import MonitorOptions
    from chaos.plan.plan import Plan
    from chaos.plan.schedule import Schedule
    from chaos.report.display import Display
    from chaos.report.webhook import Webhook
    from chaos.sweep.options import SweepOptions
    from chaos.targets.options import TargetOptions


def print_json(content: Any) -> None:
    """Print `content` as JSON, in the form that all commands use."""
    import json

    print(json.dumps(content, indent=2, sort_keys=True))


def _display(
    options: opt.RunOptions | opt.ReplayOptions | opt.CanaryOptions | opt.CheckOptions,
) -> Display:
    from chaos.report.display import Display

    return Display.chosen(
        json=options.json,
        quiet=options.quiet,
        no_color=options.no_color,
        verbose=options.verbose,
    )


def run(options: opt.RunOptions) -> int:
    """`chaos run`: prepare the run and become its guardian; returns for --dry-run only."""
    from chaos.plan import describe, schedule
    from chaos.report.webhook import webhook
    from chaos.runner import launch, resolve

    hook = webhook(options.notify)
    if options.soak is None:
        raise UsageError(
            "which soak?",
            place="chaos run",
            next_step=f"name one: {', '.join(resolve.soak_names())}, e.g. "
            "chaos run soak_c --fault llm_timeout",
        )
    plan = resolve.resolve(
        resolve.Request(
            soak=options.soak,
            profile=options.profile,
            target=options.target,
            faults=options.fault,
            pool=options.faults,
            strikes=options.strikes,
            overlap=options.overlap,
            skip_unavailable=options.skip_unavailable,
            seed=options.seed,
            overrides=options.set,
            sandbox=options.sandbox,
            backend=options.backend or "local",
            gpu=options.gpu,
            witness=options.witness,
        )
    )
    drawn = schedule.draw(plan)
    if options.dry_run:
        if options.json:
            print_json({"plan": plan.to_json(), "schedule": drawn.to_json()})
        else:
            print((describe.line if options.quiet else describe.full)(plan, drawn))
        return ExitCode.PASS
    os.environ["CHAOS_COMMAND_LINE"] = options.command_line
    if hook is not None:
        return _run_and_notify(plan, drawn, options, hook)
    launch.start(plan, drawn, options.runs, _display(options))


def _run_and_notify(plan: Plan, drawn: Schedule, options: opt.RunOptions, hook: Webhook) -> int:
    """The run as a child: a process that becomes its guardian could send nothing afterwards."""
    from chaos.report.webhook import run_content
    from chaos.runner.child import Interrupts, run_child
    from chaos.runner.launch import prepare

    prepared = prepare(plan, drawn, options.runs, _display(options))
    with Interrupts() as interrupts:
        code = run_child(prepared, interrupts, plan.guardrails.run_budget_s + _BEYOND_BUDGET_S)
    code = code if code >= 0 else ExitCode.INVALID  # the guardian was killed
    hook.send(run_content("run", code, prepared.run))
    return code


def setup(options: opt.SetupOptions) -> int:
    """`chaos setup`: provision model and proxy."""
    from chaos.assets.setup import run_setup

    return run_setup(verify=options.verify, quiet=options.quiet)


def check(options: opt.CheckOptions) -> int:
    """`chaos check`: judge a stored run again, also a run in a read-only folder."""
    import sys

    from chaos.base.printable import printable
    from chaos.checks.verdict import verdict_text
    from chaos.record.open_run import OpenRun
    from chaos.record.rundir import find
    from chaos.report.announce import conclude
    from chaos.report.write import refresh
    from chaos.runner.judge import judgement_of, store

    run = find(options.run, options.runs)
    with OpenRun(run) as opened:
        judgement = judgement_of(opened)
    verdict = judgement.verdict
    stored = run.verdict.read_bytes() if run.verdict.is_file() else b""
    changed = verdict_text(verdict).encode() != stored
    reports = None if options.reports else lambda: refresh(run, changed=changed)
    try:
        reason = store(run, judgement)
        if reason:
            print(printable(f"chaos: {reason}"), file=sys.stderr, flush=True)
            reports = None  # they show the stored verdict, which was not replaced
    except ChaosError as error:
        text = printable(f"chaos: {error}")
        reports = lambda: print(text, file=sys.stderr, flush=True)  # noqa: E731
    return conclude(verdict, run, _display(options), reports=reports)


def sql(options: opt.SqlOptions) -> int:
    """`chaos sql`: query a stored run."""
    import sys

    from chaos.cli.sql import ask, tables_markdown, tables_text

    if options.tables:
        if options.markdown:
            print(tables_markdown(), end="")
        else:
            print(tables_text("json" if options.json else "table"))
        return ExitCode.PASS
    if options.run is None or options.query is None:
        raise UsageError(
            "which run, and which query?",
            place="chaos sql",
            next_step='chaos sql latest "select name, state from faults"; chaos sql --tables',
        )
    if options.markdown:
        raise UsageError("--markdown goes with --tables", place="--markdown", next_step="use --csv")
    if not 0 < options.limit_s <= 3600:
        raise UsageError("out of range", place="--limit-s", next_step="from above 0 to 3600")
    query = sys.stdin.read() if options.query == "-" else options.query
    output = "json" if options.json else "csv" if options.csv else "table"
    ask(options.run, options.runs, query, output, limit_s=options.limit_s)
    return ExitCode.PASS


def gate(options: GateOptions) -> int:
    """`chaos gate`: all soaks, one verdict."""
    from chaos.gate.command import gate

    return gate(options)


def attest(options: AttestOptions) -> int:
    """`chaos attest`: sign what a gate found."""
    from chaos.attest.command import attest

    return attest(options)


def verify(options: VerifyOptions) -> int:
    """`chaos verify`: check such a signature."""
    from chaos.attest.command import verify

    return verify(options)


def sweep(options: SweepOptions) -> int:
    """`chaos sweep`: every persistence point of a daemon, crashed and failed."""
    from chaos.sweep.command import sweep

    return sweep(options)


def campaign(options: CampaignOptions) -> int:
    """`chaos campaign`: many runs, judged together."""
    from chaos.campaign.command import campaign

    return campaign(options)


def canary(options: opt.CanaryOptions) -> int:
    """`chaos canary`: a run that must fail."""
    from chaos.gate.canary import canary
    from chaos.report.webhook import webhook

    return canary(
        options.runs,
        _display(options),
        seed=options.seed,
        sandbox=options.sandbox,
        backend=options.backend,
        hook=webhook(options.notify),
    )


def compare(options: CompareOptions) -> int:
    """`chaos compare`: is the candidate less resilient than the base?"""
    from chaos.compare.command import compare

    return compare(options)


def replay(options: opt.ReplayOptions) -> int:
    """`chaos replay`: the identical schedule again."""
    from chaos.compare.replay import replay
    from chaos.record.rundir import find
    from chaos.report.webhook import webhook

    hook = webhook(options.notify)
    run = find(options.run, options.runs)
    return replay(run, options.runs, _display(options), force=options.force, hook=hook)


def report(options: opt.ReportOptions) -> int:
    """`chaos report`: write the reports of a stored run."""
    from chaos.record.rundir import find
    from chaos.report.write import report
    from chaos.runner.judge import judge

    run = find(options.run, options.runs)
    if not run.verdict.is_file():
        judge(run)
    report(run, options.format, options.out, os.environ)
    return ExitCode.PASS


def triage(options: opt.TriageOptions) -> int:
    """`chaos triage`: from findings to named causes."""
    from chaos.base.printable import printable
    from chaos.cli.triage import explain
    from chaos.triage.text import plain

    result = explain(options.run, options.runs, target=options.target, deep=options.deep)
    if options.json:
        print_json(result.to_json())
    else:
        print(printable(plain(result)))
    return ExitCode.PASS


def runs(options: opt.RunsOptions) -> int:
    """`chaos runs`: list the stored runs, or remove the oldest."""
    from chaos.cli import runs

    if options.action == "prune":
        return runs.prune(options)
    if options.json:
        print_json(runs.content(options))
        return ExitCode.PASS
    return runs.listed(options)


def serve(options: opt.ServeOptions) -> int:
    """`chaos serve`: the pages of a folder of runs."""
    from chaos.serve.command import serve

    return serve(options.runs, options.port, browse=options.open)


def clean(options: opt.CleanOptions) -> int:
    """`chaos clean`: undo what runs left behind."""
    from chaos.runner.clean import clean

    code = clean(options.run, options.runs)
    if options.images:
        from chaos.runner.containers.leftovers import remove_images

        if remove_images(print):
            return ExitCode.CLEANUP_INCOMPLETE
    return code


def faults(options: opt.FaultsOptions) -> int:
    """`chaos faults`: what can be broken."""
    from chaos.cli import listing
    from chaos.faults.registry import fault_kind, fault_kinds

    kinds = fault_kinds()
    if options.name:
        kinds = {name: fault_kind(name, place="chaos faults") for name in options.name}
    if options.json:
        print_json(listing.faults_json(kinds))
    elif options.markdown:
        print(listing.faults_markdown(kinds), end="")
    elif options.name:
        print("\n\n".join(listing.fault_text(kind) for kind in kinds.values()))
    else:
        print(listing.faults_text(kinds))
    return ExitCode.PASS


def soaks(options: opt.SoaksOptions) -> int:
    """`chaos soaks`: what can be run."""
    from chaos.cli.listing import checks_markdown, soaks_json, soaks_text

    if options.checks:
        print(checks_markdown(), end="")
    elif options.json:
        print_json(soaks_json())
    else:
        print(soaks_text())
    return ExitCode.PASS


def target(options: TargetOptions) -> int:
    """`chaos target`: write and check the target of a daemon."""
    from chaos.targets.command import target

    return target(options)


def doctor(options: DoctorOptions) -> int:
    """`chaos doctor`: is a Watcher ready to run?"""
    from chaos.doctor.command import doctor

    return doctor(options)


def monitor(options: MonitorOptions) -> int:
    """`chaos monitor`: how is a running Watcher?"""
    from chaos.monitor.command import monitor

    return monitor(options)


def version(_options: opt.VersionOptions) -> int:
    """`chaos version`."""
    from chaos.base.command import SECOND, name_taken
    from chaos.base.version import __version__

    print(f"chaos {__version__}")
    if taken := name_taken():
        print(f"{taken}: use {SECOND}, which is always this one")
    return ExitCode.PASS
