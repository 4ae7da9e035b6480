"""The command line: parse, call, exit code. Nothing else is decided here.

Only the standard library is imported at the top; each command imports what it needs, so that
`chaos --help` answers at once.
"""

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from chaos.base.errors import ChaosError, UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.base.output import adopt, settled
from chaos.cli import commands as act
from chaos.doctor import arguments as doctor_arguments
from chaos.monitor import arguments as monitor_arguments

_EXIT_CODES = """\
exit codes:
  0    pass
  1    resilience failure of the Watcher
  2    usage or configuration error
  3    inconclusive or unverified
  4    invalid: a problem of the infrastructure or the harness
  5    stopped by a guardrail
  6    clean-up incomplete: faults may remain, run `chaos clean`
  130  interrupted, after clean-up
"""

_EXAMPLES = """\
examples:
  chaos run soak_c --fault llm_timeout              lose the LLM, recover, be judged
  chaos run soak_c --fault none                     the control: must pass without any fault
  chaos run soak_c --fault llm_timeout:hold=10s,count=3 --seed 7
  chaos run soak_c --fault llm_timeout --dry-run    show plan and schedule, start nothing
  chaos check latest                                judge the newest run again
  chaos faults                                      what can be broken; with NAME: how
"""

_RUN_EXAMPLES = """\
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
"""

_SQL_EXAMPLES = """\
examples:
  chaos sql --tables                                       what can be asked
  chaos sql latest "select name, proven_s, recovered_s from faults"
  chaos sql latest "select * from decisions where fallback and not in_fault(end_s)" --json
  chaos sql soak_c/latest - --csv < query.sql

The run is opened as tables and never changed: one select statement, nothing outside the run.
"""

_GATE_EXAMPLES = """\
examples:
  chaos gate                                  six runs, quick: each soak clean, then under faults
  chaos gate --profile full --seed 7          the plan's real durations
  chaos gate --soaks c --fault llm_timeout:hold=10s,count=1
  chaos gate --resume latest                  go on after an interruption, a crash, a reboot
"""


class _Parser(argparse.ArgumentParser):
    """Reports through `UsageError`, as everything else does."""

    def error(self, message: str) -> NoReturn:
        step = f"{self.prog} --help"
        if message.startswith("argument --faults: expected one"):  # `-gpu` reads as an option
            step = f"--faults=-gpu, with =, where it begins with a minus; {step}"
        raise UsageError(message, next_step=step)


_PATH_SHOWN = 200


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _path(text: str) -> Path:
    if not text:  # it would mean the current folder; mostly it is a variable that was not set
        raise argparse.ArgumentTypeError("an empty path")
    return Path(text)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with help that teaches."""
    parser = _Parser(
        prog="chaos",
        description="May this autonomous, LLM-driven daemon go to production? Runs it with its "
        "real parts, breaks them on a reproducible schedule, and judges what happened.",
        epilog=f"{_EXAMPLES}\n{_EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _add_run(commands)
    setup = _add(commands, "setup", act.setup, "fetch what a run needs: LLM model, Toxiproxy")
    setup.add_argument("--verify", action="store_true", help="check every checksum again")
    setup.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    check = _add(commands, "check", act.check, "judge a stored run again")
    check.add_argument("run", metavar="RUN", help="a run directory, SOAK/latest or latest")
    check.add_argument("--reports", action="store_true", help="write every report, the page too")
    _add_runs(check)
    _add_output(check)
    _add_report(commands)
    _add_sql(commands)
    _add_triage(commands)
    clean = _add(commands, "clean", act.clean, "undo what a run left behind")
    clean.add_argument("run", metavar="RUN", nargs="?", help="default: every run under --runs")
    help_text = "also the images that `--backend docker` has built, unless a container uses them"
    clean.add_argument("--images", action="store_true", help=help_text)
    _add_runs(clean)
    _add_gate(commands)
    _add_replay(commands)
    _add_canary(commands)
    faults = _add(commands, "faults", act.faults, "list what can be broken; tell a fault's details")
    faults.add_argument("name", metavar="NAME", nargs="*", help="everything about these faults")
    faults.add_argument("--markdown", action="store_true", help="the catalogue as a document")
    faults.add_argument("--json", action="store_true", help="print JSON")
    soaks = _add(commands, "soaks", act.soaks, "list the soaks, their profiles and the targets")
    soaks.add_argument("--json", action="store_true", help="print JSON")
    doctor = doctor_arguments
    doctor.add(_add(commands, "doctor", act.doctor, doctor.TEXT, doctor.EPILOG))
    monitor = monitor_arguments
    monitor.add(_add(commands, "monitor", act.monitor, monitor.TEXT, monitor.EPILOG))
    _add(commands, "version", act.version, "print the version")
    return parser


def _add(
    commands: Any, name: str, call: Callable[[argparse.Namespace], int], text: str, epilog: str = ""
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(call=call)
    return parser


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", metavar="DIR", type=_path, default=Path("runs"), help="where runs are stored"
    )


def _add_report(commands: Any) -> None:
    report = _add(commands, "report", act.report, "write the reports of a stored run")
    report.add_argument("run", metavar="RUN", help="a run directory, SOAK/latest or latest")
    report.add_argument(
        "--format",
        choices=("html", "junit", "markdown", "json", "github", "metrics", "all"),
        default="all",
        help="default: all, into the run directory",
    )
    report.add_argument(
        "--out", metavar="PATH", type=_path, help="this file (`-`: stdout); for all: this folder"
    )
    _add_runs(report)


def _add_sql(commands: Any) -> None:
    sql = _add(commands, "sql", act.sql, "ask a stored run with SQL", epilog=_SQL_EXAMPLES)
    sql.add_argument("run", metavar="RUN", nargs="?", help="run directory, SOAK/latest or latest")
    sql.add_argument("query", metavar="QUERY", nargs="?", help="a select statement; - reads stdin")
    sql.add_argument("--tables", action="store_true", help="list tables and columns, and stop")
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON list of records")
    form.add_argument("--csv", action="store_true", help="comma-separated values with a header")
    form.add_argument("--markdown", action="store_true", help="with --tables: docs/tables.md")
    text = "stop the query after S seconds (30)"
    sql.add_argument("--limit-s", type=float, default=30.0, metavar="S", help=text)
    _add_runs(sql)


def _add_triage(commands: Any) -> None:
    triage = _add(commands, "triage", act.triage, "lead from findings to a named cause")
    help_text = "a run (as for check), or the folder that a Watcher works in"
    triage.add_argument("run", metavar="RUN|DIR", help=help_text)
    help_text = "of the folder: a target's name or the path of its file (default: reference)"
    triage.add_argument("--target", metavar="NAME", default="reference", help=help_text)
    help_text = "look longer and at more: all stuck requests, memory mappings"
    triage.add_argument("--deep", action="store_true", help=help_text)
    triage.add_argument("--json", action="store_true", help="print JSON")
    _add_runs(triage)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on stdout")
    parser.add_argument("--no-color", action="store_true", help="no colours (also NO_COLOR)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the result, on one line")


def _add_run(commands: Any) -> None:
    text = "run a soak, with faults, and judge it"
    run = _add(commands, "run", act.run, text, f"{_RUN_EXAMPLES}\n{_EXIT_CODES}")
    add = run.add_argument
    add("soak", metavar="SOAK", nargs="?", help="name of a soak, or the path of its file")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="break this; may be repeated (the storm is then made long enough); `none` is the "
        "control",
    )
    add(
        "--faults",
        action="append",
        default=[],
        metavar="WHICH",
        help="break all these: kinds, groups or `all`, comma-separated, -NAME leaves one out "
        "(--faults=-gpu where it begins so); the storm is made long enough",
    )
    add("--strikes", type=_whole, metavar="N", help="draw N strikes from the faults, by weight=")
    add("--overlap", action="store_true", help="faults that allow it may be in force together")
    add("--profile", metavar="NAME", help="scale of the soak (default: the soak's own)")
    add("--target", metavar="NAME", help="the Watcher: a target's name or the path of its file")
    add("--seed", type=_whole, metavar="N", help="of the schedule (default: random, printed)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting")
    add(
        "--sandbox",
        choices=("namespaces", "none"),
        default="namespaces",
        help="`none`: plain processes; what then cannot be had is said",
    )
    _add_backend(run)
    _add_runs(run)
    add("--dry-run", action="store_true", help="print the plan and the schedule, start nothing")
    _add_output(run)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=("local", "docker"),
        default=None,
        help="local: processes in a private sandbox (the default); docker: containers, from "
        "docker-compose.yml",
    )
    help_text = "give the containers the NVIDIA GPUs (adds docker-compose.gpu.yml)"
    parser.add_argument("--gpu", action="store_true", help=help_text)


def _add_gate(commands: Any) -> None:
    text = "run soaks A, B, C, clean and under faults, for one final verdict"
    gate = _add(commands, "gate", act.gate, text, f"{_GATE_EXAMPLES}\n{_EXIT_CODES}")
    add = gate.add_argument
    add("--profile", metavar="NAME", help="scale of every soak (default: the gate file's)")
    add("--soaks", metavar="A,B,C", help="only these; a part is never PRODUCTION-READY")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="of the runs under faults; may be repeated (default: the gate file's)",
    )
    add("--target", metavar="NAME", help="the Watcher: a target's name or the path of its file")
    add("--seed", type=_whole, metavar="N", help="of every schedule (default: random, printed)")
    add("--config", type=_path, metavar="FILE", help="default: experiments/gate.yaml")
    add("--resume", metavar="DIR", help="go on with a gate: its folder, its name, or latest")
    add("--fail-fast", action="store_true", help="stop at the first failure of the Watcher")
    add("--sandbox", choices=("namespaces", "none"), help="as for chaos run")
    _add_backend(gate)
    _add_runs(gate)
    add("--dry-run", action="store_true", help="print the runs with their lengths, start nothing")
    _add_output(gate)


def _add_replay(commands: Any) -> None:
    text = "run the identical schedule of a stored run again, and compare the verdicts"
    replay = _add(commands, "replay", act.replay, text, _EXIT_CODES)
    replay.add_argument("run", metavar="RUN", help="a run directory, SOAK/latest or latest")
    help_text = "although model, LLM server or Toxiproxy differ; what differs is recorded"
    replay.add_argument("--force", action="store_true", help=help_text)
    _add_runs(replay)
    _add_output(replay)


def _add_canary(commands: Any) -> None:
    text = "run a Watcher that must fail: does the gate still say no? (about a minute)"
    epilog = "exit codes:\n  0    it failed, by the check for its defect\n"
    epilog += "  4    it did not: trust no verdict of this installation\n  130  interrupted\n"
    canary = _add(commands, "canary", act.canary, text, epilog)
    canary.add_argument("--seed", type=_whole, metavar="N", help="of the schedule")
    canary.add_argument("--sandbox", choices=("namespaces", "none"), default="namespaces")
    canary.add_argument("--backend", choices=("local", "docker"), default="local")
    _add_runs(canary)
    _add_output(canary)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    commands: dict[str, argparse.ArgumentParser] = actions[0].choices
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        raise unknown_name("command", argv[0], commands)
    _refuse_empty(argv, commands.get(argv[0], parser) if argv else parser)
    options, extra = parser.parse_known_args(argv)
    if extra:
        active = commands.get(options.command or "", parser)
        if extra[0].startswith("-"):
            name = extra[0].partition("=")[0]
            raise unknown_name("option", name, active._option_string_actions, place=active.prog)
        raise UsageError(
            f"unexpected argument {extra[0]!r}",
            place=active.prog,
            next_step=f"{active.prog} --help",
        )
    return options


def _refuse_empty(argv: Sequence[str], active: argparse.ArgumentParser) -> None:
    """An empty word is a variable that nobody has set, and never means the default: it would
    judge another Watcher than the one meant, or clean more than one run.
    """
    for before, word in zip(["", *argv], argv, strict=False):
        name, equals, value = word.partition("=")
        place = name if name.startswith("--") and equals and not value else ""
        if not word:
            action = active._option_string_actions.get(before)
            place = before if action is not None and action.nargs != 0 else active.prog
        if place:
            raise UsageError(
                "an empty value", place=place, next_step="give a value, or leave it out"
            )


def _report(error: ChaosError, argv: Sequence[str]) -> int:
    """The error for people on stderr; with --json also as an object on stdout."""
    from chaos.base.printable import printable

    print(printable(f"chaos: error: {error}"), file=sys.stderr)
    if "--json" in argv:
        content = {"message": error.message, "place": error.place, "next_step": error.next_step}
        act.print_json({"error": {**content, "exit_code": int(error.exit_code)}})
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Never a traceback for what a user can meet."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = argparse.Namespace(command=None)
    try:
        options = _parse(words)
        options.words = words
        if options.version:
            return act.version(options)
        if options.command is None:
            build_parser().print_help()
            return ExitCode.USAGE
        return int(options.call(options))
    except ChaosError as error:
        return _report(error, words)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            return _defect()
        wrong = UsageError(
            "a path is too long",
            place=str(error.filename)[:_PATH_SHOWN] + "...",
            next_step="name a shorter one",
        )
        return _report(wrong, words)
    except KeyboardInterrupt:
        print("chaos: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception:  # a defect of ours must not exit with 1, which blames the Watcher
        return _defect()


def _defect() -> int:
    """Of ours, in the exception that is handled now."""
    import traceback

    traceback.print_exc()
    print("chaos: error: this is a defect of chaos itself; please report it", file=sys.stderr)
    return ExitCode.INVALID


def entry() -> NoReturn:
    """The console command."""
    adopt()
    sys.exit(settled(main()))
