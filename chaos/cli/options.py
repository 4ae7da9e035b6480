"""The options of the commands. Those of gate, attest, doctor and monitor are in their own folders.

Standard library only: every `chaos --help` imports this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common

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

{common.EXIT_CODES}"""

    soak: str | None = option("name of a soak, or the path of its file", "SOAK", positional=True)
    fault: Sequence[str] = option(
        "break this; may be repeated (the storm is then made long enough); `none` is the control",
        common.FAULT,
    )
    faults: Sequence[str] = option(
        "break all these: kinds, groups or `all`, comma-separated, -NAME leaves one out "
        "(--faults=-gpu where it begins so); the storm is made long enough",
        "WHICH",
    )
    strikes: int | None = option("draw N strikes from the faults, by weight=", "N")
    overlap: bool = option("faults that allow it may be in force together")
    skip_unavailable: bool = common.SKIP_UNAVAILABLE
    profile: str | None = option("scale of the soak (default: the soak's own)", "NAME")
    target: str | None = common.WATCHER
    seed: int | None = option("of the schedule (default: random, printed)", "N")
    set: Sequence[str] = option("change one setting", "KEY=VALUE")
    sandbox: Sandbox = option(
        "`none`: plain processes; names what is then not available", default="namespaces"
    )
    backend: Literal["local", "docker"] | None = common.BACKEND
    gpu: bool = common.GPU
    witness: Literal["all", "none"] = option(
        "who sees what the Watcher does: a supervisor of its system calls, and a capture of what "
        "goes to and from its LLM; or nobody",
        default="all",
    )
    runs: Path = common.RUNS
    notify: str | None = common.NOTIFY
    dry_run: bool = option("print the plan and the schedule, start nothing")
    json: bool = common.VERDICT_JSON
    no_color: bool = common.NO_COLOR
    quiet: bool = common.QUIET
    verbose: bool = common.VERBOSE
    command_line: str = ""  # the whole command, for the provenance


class SetupOptions(Options):
    """Fetch what a run needs: LLM model, Toxiproxy."""

    verify: bool = option("check every checksum again")
    quiet: bool = option("print nothing but errors", short="-q")


class CheckOptions(Options):
    """Judge a stored run again."""

    run: str = common.RUN
    reports: bool = option("write every report, the page too")
    runs: Path = common.RUNS
    json: bool = common.VERDICT_JSON
    no_color: bool = common.NO_COLOR
    quiet: bool = common.QUIET
    verbose: bool = common.VERBOSE


class ReportOptions(Options):
    """Write the reports of a stored run."""

    run: str = common.RUN
    format: Literal["html", "junit", "markdown", "json", "github", "metrics", "all"] = option(
        "default: all, into the run directory", default="all"
    )
    out: Path | None = option(
        "this file (`-`: stdout); for all: this folder, made if only it is missing", "PATH"
    )
    runs: Path = common.RUNS


class SqlOptions(Options):
    """Ask a stored run, or a campaign, with SQL."""

    EPILOG = """\
examples:
  chaos sql --tables                                       what can be asked
  chaos sql latest "select name, proven_s, recovered_s from faults"
  chaos sql latest "select * from decisions where fallback and not in_fault(end_s)" --json
  chaos sql soak_c/latest - --csv < query.sql
  chaos sql campaign/latest "select fault, verdict, count(*) from runs group by all"

The run is opened as tables and never changed: one select statement, nothing outside the run.
"""
    EXCLUSIVE = ("json", "csv", "markdown")

    run: str | None = option(
        "run directory, SOAK/latest or latest; folder of a campaign, or campaign/latest",
        "RUN",
        positional=True,
    )
    query: str | None = option("a select statement; - reads stdin", "QUERY", positional=True)
    tables: bool = option("list tables and columns, and stop")
    json: bool = option("a JSON list of records")
    csv: bool = option("comma-separated values with a header")
    markdown: bool = option("with --tables: docs/tables.md")
    limit_s: float = option("stop the query after S seconds (30)", "S", default=30.0)
    runs: Path = common.RUNS


class TriageOptions(Options):
    """Lead from findings to a named cause."""

    run: str = option(
        "a run (as for check), or the folder that a Watcher works in", "RUN|DIR", positional=True
    )
    target: str = option(
        "of the folder: a target's name or the path of its file (default: reference)",
        "NAME",
        default="reference",
    )
    deep: bool = option("look longer and at more: all stuck requests, memory mappings")
    json: bool = common.PRINT_JSON
    no_color: bool = option("accepted as everywhere: the text has no colours")
    runs: Path = common.RUNS


class RunsOptions(Options):
    """List the stored runs, gates, sweeps, comparisons and campaigns; remove the oldest."""

    EPILOG = """\
examples:
  chaos runs                               newest first, with the first finding that did not pass
  chaos runs --soak soak_c --verdict fail
  chaos runs prune --keep 20 --dry-run     what would go
  chaos runs prune --keep 20               keep the newest 20 of each soak

prune removes only runs that have ended. A run whose clean-up is open stays. Gates stay with all
their runs, unless --gates is given: then the newest N are kept. Likewise --batches for sweeps,
comparisons and campaigns, the newest N of each.
"""

    action: Literal["list", "prune"] | None = option("default: list", positional=True)
    soak: str | None = option("list: of this soak", "SOAK")
    verdict: (
        Literal[
            "pass",
            "fail",
            "inconclusive",
            "unverified",
            "invalid",
            "running",
            "unjudged",
            "damaged",
        ]
        | None
    ) = option("list: with this verdict, or without one", "WORD")
    keep: int | None = option("prune: keep the newest N of each soak", "N")
    gates: bool = option("prune: gates, too")
    batches: bool = option(
        "prune: sweeps, comparisons and campaigns, too; the sweep of a gate goes with its gate"
    )
    dry_run: bool = option("prune: print what would be removed, remove nothing")
    yes: bool = option("prune: do not ask")
    json: bool = common.PRINT_JSON
    runs: Path = common.RUNS


class ServeOptions(Options):
    """Show runs, gates, sweeps, comparisons and campaigns in a browser, a run as it happens."""

    EPILOG = """\
Listens to 127.0.0.1 alone, and reads only. /metrics is for a Prometheus of yours. More:
docs/serve.md
"""

    port: int = option("port to listen to; 0: any free one (default: 8642)", "N", default=8642)
    open: bool = option("open the address in a browser; without one, only a line says so")
    runs: Path = common.RUNS


class CleanOptions(Options):
    """Undo what a run left behind."""

    run: str | None = option("default: every run under --runs", "RUN", positional=True)
    images: bool = option(
        "also the images that `--backend docker` has built, unless a container uses them"
    )
    runs: Path = common.RUNS


class ReplayOptions(Options):
    """Run the identical schedule of a stored run again, and compare the verdicts."""

    EPILOG = common.EXIT_CODES

    run: str = common.RUN
    force: bool = option("although model, LLM server or Toxiproxy differ; what differs is recorded")
    runs: Path = common.RUNS
    notify: str | None = common.NOTIFY
    json: bool = common.VERDICT_JSON
    no_color: bool = common.NO_COLOR
    quiet: bool = common.QUIET
    verbose: bool = common.VERBOSE


class CanaryOptions(Options):
    """Run a Watcher that must fail: does the gate still say no? (about a minute)."""

    EPILOG = """\
exit codes:
  0    it failed, by the check for its defect
  4    it did not: trust no verdict of this installation
  130  interrupted
"""

    seed: int | None = option("of the schedule", "N")
    sandbox: Sandbox = option(default="namespaces")
    backend: Literal["local", "docker"] = option(default="local")
    runs: Path = common.RUNS
    notify: str | None = common.NOTIFY
    json: bool = common.VERDICT_JSON
    no_color: bool = common.NO_COLOR
    quiet: bool = common.QUIET
    verbose: bool = common.VERBOSE


class FaultsOptions(Options):
    """List what can be broken; tell a fault's details."""

    name: Sequence[str] = option("everything about these faults", "NAME", positional=True)
    markdown: bool = option("the catalogue as a document")
    json: bool = common.PRINT_JSON


class SoaksOptions(Options):
    """List the soaks, their profiles and the targets."""

    json: bool = common.PRINT_JSON
    checks: bool = option("which keys of a target switch on which checks, as a Markdown table")


class VersionOptions(Options):
    """Print the version."""


class HelpOptions(Options):
    """Explain a topic or a command."""

    topic: str | None = option("a topic or a command (default: list all)", "TOPIC", positional=True)


class CompletionOptions(Options):
    """Print a script for the completion of a shell."""

    EPILOG = """\
Put it into the start-up file of your shell:
  bash   source <(chaos completion bash)
  zsh    source <(chaos completion zsh)        after compinit
  fish   chaos completion fish | source
"""

    shell: Literal["bash", "zsh", "fish"] = option(positional=True)
