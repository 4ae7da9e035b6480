"""Run the examples on the real stack: sound ones must pass, defective ones must be found.

    python -m tests.examples.matrix                      all, one after the other (about 40 minutes)
    python -m tests.examples.matrix --only minimal-      those whose name begins so

Exit code 1 if a sound program did not pass, or if a defect was not found by its check.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.examples.cases import DEFECTIVE, SOUND, Case
from tests.integration.command import Done, chaos

SEED = "7"
_QUIET = ("pass", "skipped")
_BRIEF = ["--set", "baseline_s=20", "--set", "storm_s=40", "--set", "quiet_s=8"]


def run(case: Case, folder: Path) -> Done:
    """`chaos run` of a case; target and runs are stored in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--fault", case.fault, "--seed", SEED, "--target", str(case.target(folder))]
    words += _BRIEF if case.brief else []
    return chaos(folder / "runs", "run", case.soak, *words)


def wrong(case: Case, done: Done) -> str:
    """What is wrong with the verdict; "" if it is the right one."""
    outcomes = {f["check"]: f["outcome"] for f in done.verdict()["findings"]}
    if not case.defect:
        bad = [f"{name} {word}" for name, word in outcomes.items() if word not in _QUIET]
        return ", ".join(bad) or ("" if done.exit_code == 0 else f"exit code {done.exit_code}")
    if outcomes.get(case.found_by) == "fail" and done.exit_code == 1:
        return ""
    return f"{case.found_by} is {outcomes.get(case.found_by)}, failed: {sorted(done.failed())}"


def main(argv: Sequence[str]) -> int:
    """Run those that `--only` names, one after the other; 1 if any has an unexpected outcome."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", default=[""], metavar="PREFIX", help="of the names of the runs"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/examples"), help="where they go")
    options = parser.parse_args(argv)
    folder = options.runs / time.strftime("%Y%m%d-%H%M%S")
    failed = 0
    wanted = tuple(options.only)
    for case in (c for c in (*SOUND, *DEFECTIVE) if c.name.startswith(wanted)):
        done = run(case, folder / case.name)
        try:
            text = wrong(case, done)
        except AssertionError as error:  # no verdict
            text = str(error)
        failed += bool(text)
        verdict = done.stdout.strip().splitlines()
        found = f"failed: {', '.join(sorted(done.failed()))}" if case.defect and not text else ""
        last = next((line for line in verdict if "(exit" in line), "")
        print(f"{'WRONG' if text else 'ok   '} {case.name:<50} {text or found or last}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
