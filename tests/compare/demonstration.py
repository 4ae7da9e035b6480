"""Compare the reference Watcher with itself and with three changed ones, on the real stack.

    python -m tests.compare.demonstration                          all four: hours
    python -m tests.compare.demonstration --only loses_one_in_twenty --pairs-max 10

Each takes as many pairs as it needs (about 50 without a difference, two minutes a run); the table
at the end says what was decided, and what was expected.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.planted.table import REPO, Planted

VARIANTS = Path(__file__).with_name("variants")


@dataclass(frozen=True)
class Variant(Planted):
    """A changed Watcher, built like the planted ones; `expected` words are right."""

    expected: tuple[str, ...] = ()
    score: str = "survived"

    @property
    def program(self) -> Path:
        """The file that is installed into the workspace."""
        return VARIANTS / f"{self.name}.py"


ITSELF = "reference"
CASES = (
    Variant(ITSELF, soak="soak_b", expected=("PASS",)),
    # A decision without the LLM is legal while it is cut off: fewer attempts do not lose a strike.
    Variant("retries_halved", soak="soak_b", expected=("PASS", "INCONCLUSIVE")),
    Variant("reconnects_slowly", soak="soak_b", expected=("BLOCK",), score="recovery"),
    Variant("loses_one_in_twenty", soak="soak_b", expected=("BLOCK",)),
)


def compared(case: Variant, runs: Path, more: Sequence[str]) -> dict[str, object]:
    """What `chaos compare` prints as JSON; its progress goes to stderr."""
    folder = runs.resolve() / "variants"  # kept: the comparison may be resumed
    folder.mkdir(parents=True, exist_ok=True)
    target = ITSELF if case.name == ITSELF else str(case.target(folder))
    words = [sys.executable, "-m", "chaos", "compare", ITSELF, target, "--json"]
    words += ["--soak", case.soak, "--fault", "llm_timeout", "--score", case.score]
    words += ["--runs", str(runs.resolve()), *more]
    done = subprocess.run(words, cwd=REPO, stdout=subprocess.PIPE, check=False)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Exit code 1 if a word is not among the expected ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args, more = parser.parse_known_args()
    lines, wrong = [], 0
    for case in CASES:
        if args.only and case.name not in args.only:
            continue
        found = compared(case, args.runs, more)
        if "error" in found:
            lines.append(f"{case.name:<22}{found['error']}")
            wrong += 1
            continue
        right = found["verdict"] in case.expected
        wrong += not right
        lines.append(
            f"{case.name:<22}{found['verdict']:<14}{found['counted']:>3} pairs  mean "
            f"{found['mean_difference']:+.3f} {found['interval']}  expected "
            f"{' or '.join(case.expected)}{'' if right else '  UNEXPECTED'}  {found['path']}"
        )
    print("\n".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
