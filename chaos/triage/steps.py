"""Next steps as commands that can be pasted: real paths, quoted, and only of files that exist."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from chaos.checks.finding import Evidence
from chaos.triage.facts import Facts
from chaos.triage.result import Step

_AROUND = 2
_LONG_STORM_S = 3600


def quoted(*words: str | Path) -> str:
    """One command, each word quoted where the shell needs it."""
    return shlex.join(str(word) for word in words)


def piped(*commands: str) -> str:
    """Commands joined by pipes."""
    return " | ".join(commands)


def tail(path: Path, text: str, lines: int = 50) -> Step | None:
    """The end of a file; None if it does not exist."""
    return Step(text, quoted("tail", "-n", str(lines), path)) if path.is_file() else None


def grep(path: Path, words: Iterable[str], text: str, last: int = 20) -> Step | None:
    """The last lines with any of `words`, of a file or of all files in a folder.

    None without a word to look for.
    """
    patterns = [part for word in words if word.strip('"') for part in ("-e", word)]
    if not patterns:
        return None
    if path.is_dir():
        return Step(text, piped(quoted("grep", "-rnFI", *patterns, "--", path), f"tail -n {last}"))
    if not path.is_file():
        return None
    return Step(text, piped(quoted("grep", "-nF", *patterns, "--", path), f"tail -n {last}"))


def at(facts: Facts, evidence: Evidence) -> Step | None:
    """The lines around a piece of evidence."""
    path = facts.ref_path(evidence.ref)
    number = evidence.ref.rpartition(":")[2]
    if path.is_dir():
        return Step(f"see: {evidence.text}", quoted("ls", "-la", "--", path))
    if not path.is_file():
        return None
    if not number.isdigit():
        return Step(f"see: {evidence.text}", quoted("head", "-c", "4000", "--", path))
    first = max(1, int(number) - _AROUND)
    lines = f"{first},{int(number) + _AROUND}p"
    return Step(f"see: {evidence.text}", piped(quoted("sed", "-n", lines, path), "cut -c 1-2000"))


def parse(path: Path) -> Step | None:
    """Parse a JSON file, to see where it is damaged."""
    if not path.is_file():
        return None
    return Step(f"parse {path.name}", quoted("python3", "-m", "json.tool", path))


def raw(path: Path) -> Step | None:
    """The first bytes of a file."""
    if not path.is_file():
        return None
    dump = quoted("od", "-A", "d", "-c", "-N", "256", path)
    return Step(f"see the bytes of {path.name}", dump)


def largest(folder: Path) -> Step | None:
    """The largest files and folders below a folder."""
    if not folder.is_dir():
        return None
    return Step(
        f"what takes the space in {folder.name}",
        piped(quoted("du", "-ak", "--", folder), "sort -rn", "head -n 20"),
    )


def again(facts: Facts) -> Step | None:
    """Reproduce the run."""
    if not facts.reproduce:
        return None
    return Step("reproduce it, with the same schedule", facts.reproduce)


def longer(facts: Facts) -> Step | None:
    """Repeat the run with an hour of storm, if it has one: what is small needs time to grow."""
    if not facts.reproduce or not facts.storm_s:
        return again(facts)
    storm_s = max(_LONG_STORM_S, round(4 * facts.storm_s))
    return Step("the same, but longer", f"{facts.reproduce} --set storm_s={storm_s}")


def signal_of(facts: Facts, key: str, text: str) -> Step | None:
    """The last values of a sampled signal."""
    history = facts.place / "history.jsonl"
    if not facts.is_run or not history.is_file():
        return None
    return Step(text, piped(quoted("grep", "-o", f'"{key}":[0-9.]*', history), "tail -n 40"))


def inspected(facts: Facts) -> Step | None:
    """The last inspection of the stack that the run recorded."""
    text = "descriptors, sockets, memory and files, as the run recorded them"
    history = facts.place / "history.jsonl"
    if not facts.is_run or not history.is_file():
        return None
    return grep(history, ['"name":"inspection"'], text, last=1)


def gpu_holders() -> Step:
    """The processes that hold GPU memory."""
    return Step(
        "which processes hold GPU memory now",
        quoted("nvidia-smi", "--query-compute-apps=pid,name,used_memory", "--format=csv"),
    )


def closer(facts: Facts) -> Step | None:
    """A deeper inspection of the same folder."""
    command = quoted("chaos", "triage", facts.place, *target_words(facts), "--deep")
    return Step("look closer", command)


def target_words(facts: Facts) -> list[str]:
    """The option that names the target; [] for the default target."""
    return ["--target", facts.named] if facts.named else []
