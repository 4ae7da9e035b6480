"""The command line: parse it, call the command, return its exit code.

Only the standard library is imported at the top; each command imports what it needs, so that
`chaos --help` answers at once.
"""

import argparse
import errno
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from chaos.attest.options import AttestOptions, VerifyOptions
from chaos.base.arguments import Options, add_arguments
from chaos.base.command import program
from chaos.base.errors import ChaosError, UsageError, unknown_name
from chaos.base.exitcode import ExitCode
from chaos.base.output import adopt, settled
from chaos.campaign.options import CampaignOptions
from chaos.cli import commands as act
from chaos.cli import options
from chaos.compare.options import CompareOptions
from chaos.doctor.options import DoctorOptions
from chaos.gate.options import GateOptions
from chaos.monitor.options import MonitorOptions
from chaos.runner.common_options import EXIT_CODES
from chaos.sweep.options import SweepOptions
from chaos.targets.options import TargetOptions

_EXAMPLES = """\
examples:
  chaos run soak_c --fault llm_timeout              lose the LLM, recover, be judged
  chaos run soak_c --fault none                     the control: must pass without any fault
  chaos run soak_c --fault llm_timeout:hold=10s,count=3 --seed 7
  chaos run soak_c --fault llm_timeout --dry-run    show plan and schedule, start nothing
  chaos check latest                                judge the newest run again
  chaos faults                                      what can be broken; with NAME: how
  chaos help                                        topics: verdicts, exit-codes, targets, ci ...
"""


def _help(given: options.HelpOptions) -> int:
    """`chaos help`: a topic, or the help of a command."""
    from chaos.cli.help import overview, topic_text, topics

    commands = _commands_of(build_parser())
    if given.topic is None:
        print(overview({name: _about(kind) for name, (kind, _) in _COMMANDS.items()}))
        return ExitCode.PASS
    if given.topic in topics() or given.topic not in commands:
        print(topic_text(given.topic, list(commands)))
    if given.topic in commands:  # `faults` is both
        print("\n" * (given.topic in topics()), end="")
        commands[given.topic].print_help()
    return ExitCode.PASS


def _completion(given: options.CompletionOptions) -> int:
    """`chaos completion`: the script of a shell."""
    from chaos.cli.completion import script
    from chaos.cli.help import topics

    print(script(build_parser(), given.shell, [*topics(), *_COMMANDS]))
    return ExitCode.PASS


_COMMANDS: dict[str, tuple[type[Options], Callable[[Any], int]]] = {
    "run": (options.RunOptions, act.run),
    "setup": (options.SetupOptions, act.setup),
    "check": (options.CheckOptions, act.check),
    "report": (options.ReportOptions, act.report),
    "sql": (options.SqlOptions, act.sql),
    "triage": (options.TriageOptions, act.triage),
    "runs": (options.RunsOptions, act.runs),
    "serve": (options.ServeOptions, act.serve),
    "clean": (options.CleanOptions, act.clean),
    "gate": (GateOptions, act.gate),
    "campaign": (CampaignOptions, act.campaign),
    "attest": (AttestOptions, act.attest),
    "verify": (VerifyOptions, act.verify),
    "sweep": (SweepOptions, act.sweep),
    "compare": (CompareOptions, act.compare),
    "replay": (options.ReplayOptions, act.replay),
    "canary": (options.CanaryOptions, act.canary),
    "faults": (options.FaultsOptions, act.faults),
    "soaks": (options.SoaksOptions, act.soaks),
    "doctor": (DoctorOptions, act.doctor),
    "target": (TargetOptions, act.target),
    "monitor": (MonitorOptions, act.monitor),
    "help": (options.HelpOptions, _help),
    "completion": (options.CompletionOptions, _completion),
    "version": (options.VersionOptions, act.version),
}
_PATH_SHOWN = 200  # characters of a path that is too long


class _Parser(argparse.ArgumentParser):
    """Raises `UsageError` for an invalid command line."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the nearest of the choices for a value that is none of them."""
        if action.choices is not None and value not in action.choices:
            place = "/".join(action.option_strings) or str(action.metavar or action.dest)
            raise unknown_name("value", str(value), action.choices, place=place)

    def error(self, message: str) -> NoReturn:
        step = f"{self.prog} --help"
        if message.startswith("argument --faults: expected one"):  # `-gpu` reads as an option
            step = f"--faults=-gpu, with =, where it begins with a minus; {step}"
        raise UsageError(message, next_step=step)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog=program(),
        description="May this autonomous, LLM-driven daemon go to production? Runs it with its "
        "real parts, breaks them on a reproducible schedule, and judges what happened.",
        epilog=f"{_EXAMPLES}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (kind, _) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=_about(kind),
            description=_description(kind),
            epilog=kind.EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_arguments(command, kind)
    return parser


def _description(kind: type[Options]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _about(kind: type[Options]) -> str:
    description = _description(kind)
    return f"{description[:1].lower()}{description[1:].removesuffix('.')}"


def _commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    commands: dict[str, argparse.ArgumentParser] = action.choices
    return commands


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = build_parser()
    commands = _commands_of(parser)
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        raise unknown_name("command", argv[0], commands)
    _refuse_empty(argv, commands.get(argv[0], parser) if argv else parser)
    parsed, extra = parser.parse_known_args(argv)
    if extra:
        active = commands.get(parsed.command or "", parser)
        if extra[0].startswith("-"):
            name = extra[0].partition("=")[0]
            known = active._option_string_actions
            step = f"{active.prog} --help"
            raise unknown_name("option", name, known, place=active.prog, listed_by=step)
        raise UsageError(
            f"unexpected argument {extra[0]!r}",
            place=active.prog,
            next_step=f"{active.prog} --help",
        )
    return parsed


def _refuse_empty(argv: Sequence[str], active: argparse.ArgumentParser) -> None:
    """Refuse an empty word, which is mostly a shell variable that is not set.

    The default in its place would judge another Watcher, or clean more than one run.
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
    """Print the error to stderr; with --json also as an object to stdout."""
    from chaos.base.printable import printable

    print(printable(f"chaos: error: {error}"), file=sys.stderr)
    if "--json" in argv:
        content = {"message": error.message, "place": error.place, "next_step": error.next_step}
        act.print_json({"error": {**content, "exit_code": int(error.exit_code)}})
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only a defect of chaos prints a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = _parse(words)
        if parsed.version:
            return act.version(options.VersionOptions())
        if parsed.command is None:
            build_parser().print_help()
            return ExitCode.USAGE
        kind, call = _COMMANDS[parsed.command]
        given = kind.parsed(parsed)
        if isinstance(given, options.RunOptions):
            given.command_line = shlex.join(["chaos", *_for_the_record(words)])
        return int(call(given))
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
    except Exception:  # Python's exit code 1 would mean a failure of the Watcher
        return _defect()


def _for_the_record(words: Sequence[str]) -> list[str]:
    """`words` without the address that `--notify` names, which may hold a secret."""
    kept = list(words)
    for index, word in enumerate(words):
        if word.startswith("--notify="):
            kept[index] = "--notify=..."
        elif index and words[index - 1] == "--notify":
            kept[index] = "..."
    return kept


def _defect() -> int:
    """Report the current exception as a defect of chaos."""
    import traceback

    traceback.print_exc()
    print("chaos: error: this is a defect of chaos itself; please report it", file=sys.stderr)
    return ExitCode.INVALID


def entry() -> NoReturn:
    """The console command."""
    adopt()
    sys.exit(settled(main()))
