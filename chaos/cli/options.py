"""The options of the commands. Those of gate, doctor and monitor are in their own folders.

Standard library only: every `chaos --help` imports this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from chaos.base.arguments import Options, argument
from chaos.runner.common_options import (
    EXIT_CODES,
    FAULT,
    RUNS,
    Backend,
    Gpu,
    NoColor,
    PrintJson,
    Quiet,
    Run,
    Runs,
    VerdictJson,
    Watcher,
)

Sandbox = Literal["namespaces", "none"]


class RunOptions(Options):
    """Run a soak, with faults, and judge it."""

    EPILOG = f"""\
examples:
  chaos run soak_c --fault llm_timeout
  chaos run soak_c --fault llm_timeout:hold=10s,count=3 --profile full --seed 7
  chaos run soak_c --fault llm_timeout:hold=10s,period=30s --set storm_s=2m
  chaos run soak_c --faults disk,queue --seed 7           every fault of two groups, once each
  chaos run soak_c --faults all,-gpu --strikes 12 --set quiet_period_s=20
  chaos run ./my_soak.yaml --target ./my_watcher.yaml --fault none
  chaos run soak_c --fault llm_timeout --json | jq .verdict

A run without --fault is a clean run. --fault none is the same, marked as the control.
--set changes profile fields (storm_s), settings.NAME, criteria.CHECK.NAME, guardrails.NAME.

{EXIT_CODES}"""

    soak: Annotated[
        str | None, argument("name of a soak, or the path of its file", "SOAK", positional=True)
    ] = None
    fault: Annotated[
        Sequence[str],
        argument(
            "break this; may be repeated (the storm is then made long enough); `none` is the "
            "control",
            FAULT,
        ),
    ] = ()
    faults: Annotated[
        Sequence[str],
        argument(
            "break all these: kinds, groups or `all`, comma-separated, -NAME leaves one out "
            "(--faults=-gpu where it begins so); the storm is made long enough",
            "WHICH",
        ),
    ] = ()
    strikes: Annotated[int | None, argument("draw N strikes from the faults, by weight=", "N")] = (
        None
    )
    overlap: Annotated[bool, argument("faults that allow it may be in force together")] = False
    profile: Annotated[
        str | None, argument("scale of the soak (default: the soak's own)", "NAME")
    ] = None
    target: Watcher = None
    seed: Annotated[int | None, argument("of the schedule (default: random, printed)", "N")] = None
    set: Annotated[Sequence[str], argument("change one setting", "KEY=VALUE")] = ()
    sandbox: Annotated[
        Sandbox, argument("`none`: plain processes; names what is then not available")
    ] = "namespaces"
    backend: Backend = None
    gpu: Gpu = False
    runs: Runs = RUNS
    dry_run: Annotated[bool, argument("print the plan and the schedule, start nothing")] = False
    json: VerdictJson = False
    no_color: NoColor = False
    quiet: Quiet = False
    command_line: str = ""  # the whole command, for the provenance


class SetupOptions(Options):
    """Fetch what a run needs: LLM model, Toxiproxy."""

    verify: Annotated[bool, argument("check every checksum again")] = False
    quiet: Annotated[bool, argument("print nothing but errors", short="-q")] = False


class CheckOptions(Options):
    """Judge a stored run again."""

    run: Run
    reports: Annotated[bool, argument("write every report, the page too")] = False
    runs: Runs = RUNS
    json: VerdictJson = False
    no_color: NoColor = False
    quiet: Quiet = False


class ReportOptions(Options):
    """Write the reports of a stored run."""

    run: Run
    format: Annotated[
        Literal["html", "junit", "markdown", "json", "github", "metrics", "all"],
        argument("default: all, into the run directory"),
    ] = "all"
    out: Annotated[
        Path | None, argument("this file (`-`: stdout); for all: this folder", "PATH")
    ] = None
    runs: Runs = RUNS


class SqlOptions(Options):
    """Ask a stored run with SQL."""

    EPILOG = """\
examples:
  chaos sql --tables                                       what can be asked
  chaos sql latest "select name, proven_s, recovered_s from faults"
  chaos sql latest "select * from decisions where fallback and not in_fault(end_s)" --json
  chaos sql soak_c/latest - --csv < query.sql

The run is opened as tables and never changed: one select statement, nothing outside the run.
"""
    EXCLUSIVE = ("json", "csv", "markdown")

    run: Annotated[
        str | None, argument("run directory, SOAK/latest or latest", "RUN", positional=True)
    ] = None
    query: Annotated[
        str | None, argument("a select statement; - reads stdin", "QUERY", positional=True)
    ] = None
    tables: Annotated[bool, argument("list tables and columns, and stop")] = False
    json: Annotated[bool, argument("a JSON list of records")] = False
    csv: Annotated[bool, argument("comma-separated values with a header")] = False
    markdown: Annotated[bool, argument("with --tables: docs/tables.md")] = False
    limit_s: Annotated[float, argument("stop the query after S seconds (30)", "S")] = 30.0
    runs: Runs = RUNS


class TriageOptions(Options):
    """Lead from findings to a named cause."""

    run: Annotated[
        str,
        argument(
            "a run (as for check), or the folder that a Watcher works in",
            "RUN|DIR",
            positional=True,
        ),
    ]
    target: Annotated[
        str,
        argument(
            "of the folder: a target's name or the path of its file (default: reference)", "NAME"
        ),
    ] = "reference"
    deep: Annotated[
        bool, argument("look longer and at more: all stuck requests, memory mappings")
    ] = False
    json: PrintJson = False
    runs: Runs = RUNS


class CleanOptions(Options):
    """Undo what a run left behind."""

    run: Annotated[
        str | None, argument("default: every run under --runs", "RUN", positional=True)
    ] = None
    images: Annotated[
        bool,
        argument("also the images that `--backend docker` has built, unless a container uses them"),
    ] = False
    runs: Runs = RUNS


class ReplayOptions(Options):
    """Run the identical schedule of a stored run again, and compare the verdicts."""

    EPILOG = EXIT_CODES

    run: Run
    force: Annotated[
        bool,
        argument("although model, LLM server or Toxiproxy differ; what differs is recorded"),
    ] = False
    runs: Runs = RUNS
    json: VerdictJson = False
    no_color: NoColor = False
    quiet: Quiet = False


class CanaryOptions(Options):
    """Run a Watcher that must fail: does the gate still say no? (about a minute)."""

    EPILOG = """\
exit codes:
  0    it failed, by the check for its defect
  4    it did not: trust no verdict of this installation
  130  interrupted
"""

    seed: Annotated[int | None, argument("of the schedule", "N")] = None
    sandbox: Annotated[Sandbox, argument()] = "namespaces"
    backend: Annotated[Literal["local", "docker"], argument()] = "local"
    runs: Runs = RUNS
    json: VerdictJson = False
    no_color: NoColor = False
    quiet: Quiet = False


class FaultsOptions(Options):
    """List what can be broken; tell a fault's details."""

    name: Annotated[
        Sequence[str], argument("everything about these faults", "NAME", positional=True)
    ] = ()
    markdown: Annotated[bool, argument("the catalogue as a document")] = False
    json: PrintJson = False


class SoaksOptions(Options):
    """List the soaks, their profiles and the targets."""

    json: PrintJson = False


class VersionOptions(Options):
    """Print the version."""
