"""The command line: parse, call, exit code. Nothing else is decided here.

Only the standard library is imported at the top; each command imports what it needs, so that
`chaos --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from chaos.errors import ChaosError, UsageError, unknown_name
from chaos.exitcode import ExitCode

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
  chaos faults                                      what can be broken, and its parameters
"""

_RUN_EXAMPLES = """\
examples:
  chaos run soak_c --fault llm_timeout
  chaos run soak_c --fault llm_timeout:hold=10s,count=3 --profile full --seed 7
  chaos run soak_c --fault llm_timeout:hold=10s,period=30s --set storm_s=2m
  chaos run ./my_soak.yaml --target ./my_watcher.yaml --fault none
  chaos run soak_c --fault llm_timeout --json | jq .verdict

A run without --fault is a clean run. --fault none is the same, marked as the control.
--set changes profile fields (storm_s), settings.NAME, criteria.CHECK.NAME, guardrails.NAME.
"""


class _Parser(argparse.ArgumentParser):
    """Reports through `UsageError`, as everything else does."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, next_step=f"{self.prog} --help")


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


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
    setup = _add(commands, "setup", _setup, "fetch what a run needs: LLM model, Toxiproxy")
    setup.add_argument("--verify", action="store_true", help="check every checksum again")
    setup.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    check = _add(commands, "check", _check, "judge a stored run again")
    check.add_argument("run", metavar="RUN", help="a run directory, SOAK/latest or latest")
    _add_runs(check)
    _add_output(check)
    clean = _add(commands, "clean", _clean, "undo what a run left behind")
    clean.add_argument("run", metavar="RUN", nargs="?", help="default: every run under --runs")
    _add_runs(clean)
    faults = _add(commands, "faults", _faults, "list the faults and their parameters")
    faults.add_argument("--json", action="store_true", help="print JSON")
    soaks = _add(commands, "soaks", _soaks, "list the soaks, their profiles and the targets")
    soaks.add_argument("--json", action="store_true", help="print JSON")
    _add(commands, "version", _version, "print the version")
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
        "--runs", metavar="DIR", type=Path, default=Path("runs"), help="where runs are stored"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the verdict as JSON on stdout")
    parser.add_argument("--no-color", action="store_true", help="no colours (also NO_COLOR)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the result, on one line")


def _add_run(commands: Any) -> None:
    text = "run a soak, with faults, and judge it"
    run = _add(commands, "run", _run, text, f"{_RUN_EXAMPLES}\n{_EXIT_CODES}")
    add = run.add_argument
    add("soak", metavar="SOAK", nargs="?", help="name of a soak, or the path of its file")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:KEY=VALUE,...]",
        help="break this; may be repeated; `none` is the control",
    )
    add("--profile", metavar="NAME", help="scale of the soak (default: the soak's own)")
    add("--target", metavar="NAME", help="the Watcher: a target's name or the path of its file")
    add("--seed", type=_seed, metavar="N", help="of the schedule (default: random, printed)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting")
    add(
        "--sandbox",
        choices=("namespaces", "none"),
        default="namespaces",
        help="`none`: plain processes; what then cannot be had is said",
    )
    _add_runs(run)
    add("--dry-run", action="store_true", help="print the plan and the schedule, start nothing")
    _add_output(run)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    commands: dict[str, argparse.ArgumentParser] = actions[0].choices
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        raise unknown_name("command", argv[0], commands)
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


def _print_json(content: Any) -> None:
    import json

    print(json.dumps(content, indent=2, sort_keys=True))


def _run(options: argparse.Namespace) -> int:
    import shlex

    from chaos import describe, launch, resolve, schedule

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
            seed=options.seed,
            overrides=options.set,
            sandbox=options.sandbox,
        )
    )
    drawn = schedule.draw(plan)
    if options.dry_run:
        if options.json:
            _print_json({"plan": plan.to_json(), "schedule": drawn.to_json()})
        else:
            print(describe.full(plan, drawn))
        return ExitCode.PASS
    display = launch.Display(json=options.json, quiet=options.quiet, no_color=options.no_color)
    os.environ["CHAOS_COMMAND_LINE"] = shlex.join(["chaos", *options.words])
    launch.start(plan, drawn, options.runs, display)


def _setup(options: argparse.Namespace) -> int:
    from chaos.assets.setup import run_setup

    return run_setup(verify=options.verify, quiet=options.quiet)


def _check(options: argparse.Namespace) -> int:
    from chaos.judge import check_run
    from chaos.report.announce import announce
    from chaos.rundir import find

    run = find(options.run, options.runs)
    verdict = check_run(run)
    display = "json" if options.json else "quiet" if options.quiet else "lines"
    try:
        announce(verdict, run, display, no_color=options.no_color)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads: the exit code still tells the verdict
        _drop_stdout()
    return int(verdict.exit_code)


def _clean(options: argparse.Namespace) -> int:
    from chaos.clean import clean

    return clean(options.run, options.runs)


def _faults(options: argparse.Namespace) -> int:
    from chaos.faults.registry import fault_kinds
    from chaos.listing import faults_json, faults_text

    kinds = fault_kinds()
    if options.json:
        _print_json(faults_json(kinds))
    else:
        print(faults_text(kinds))
    return ExitCode.PASS


def _soaks(options: argparse.Namespace) -> int:
    from chaos.listing import soaks_json, soaks_text

    if options.json:
        _print_json(soaks_json())
    else:
        print(soaks_text())
    return ExitCode.PASS


def _version(options: argparse.Namespace) -> int:
    from chaos import __version__

    print(f"chaos {__version__}")
    return ExitCode.PASS


def _report(error: ChaosError, argv: Sequence[str]) -> int:
    """The error for people on stderr; with --json also as an object on stdout."""
    print(f"chaos: error: {error}", file=sys.stderr)
    if "--json" in argv:
        content = {"message": error.message, "place": error.place, "next_step": error.next_step}
        _print_json({"error": {**content, "exit_code": int(error.exit_code)}})
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Never a traceback for what a user can meet."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options = _parse(words)
        options.words = words
        if options.version:
            return _version(options)
        if options.command is None:
            build_parser().print_help()
            return ExitCode.USAGE
        return int(options.call(options))
    except ChaosError as error:
        return _report(error, words)
    except KeyboardInterrupt:
        print("chaos: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return ExitCode.PASS
    except Exception:  # a defect of ours must not exit with 1, which blames the Watcher
        import traceback

        traceback.print_exc()
        print("chaos: error: this is a defect of chaos itself; please report it", file=sys.stderr)
        return ExitCode.INVALID


def _drop_stdout() -> None:
    """The reader of our output has gone; keep the interpreter from complaining at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry() -> NoReturn:
    """The console command."""
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    sys.exit(code)
