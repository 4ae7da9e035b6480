"""Run planted Watchers on the real stack, and write what was said of each.

    python -m tests.truth_table                      all, three at a time, into docs/track-record.md
                                                     and chaos/attest/measured.json
    python -m tests.truth_table --only NAME...       these, without writing

A defect is caught if the run fails by one of the checks that see it. Its cause is right if triage
names that cause first and nothing else beside it but what the table allows. A healthy Watcher is
accused if any finding fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chaos.attest.measured import FILE as MEASURED
from chaos.attest.measured import measured_text
from chaos.attest.statement import Measured
from chaos.cli.triage import explain
from tests.integration.command import REPO, Done, chaos, settings
from tests.planted.table import ANY, DEFECTS, HEALTHY, Planted

PAGE = REPO / "docs" / "track-record.md"


@dataclass(frozen=True)
class Judged:
    """What a run said of a planted Watcher."""

    planted: Planted
    exit_code: int
    failed: frozenset[str]
    causes: tuple[str, ...]
    text: str

    @property
    def caught(self) -> bool:
        """By a check that sees the defect."""
        return self.exit_code == 1 and bool(self.failed & self.planted.checks)

    @property
    def named(self) -> bool:
        """Whether the first cause that triage names is right."""
        return bool(self.causes) and self.causes[0] in self.planted.causes

    @property
    def beside(self) -> frozenset[str]:
        """What failed that the defect does not explain."""
        if ANY in self.planted.twins:
            return frozenset()
        return self.failed - self.planted.checks - self.planted.twins

    @property
    def accused(self) -> bool:
        """Whether something was held against the Watcher."""
        return bool(self.failed) or self.exit_code == 1


def judge(planted: Planted, folder: Path, seed: int = 7) -> Judged:
    """Run that Watcher once, and judge what the run said."""
    return judged(planted, run(planted, folder, seed))


def judge_again(planted: Planted, folder: Path) -> Judged:
    """The run that is kept in `folder`, by the checks of today."""
    done = chaos(folder / "runs", "check", "latest", "--json")
    return judged(planted, done)


def run(planted: Planted, folder: Path, seed: int = 7) -> Done:
    """`chaos run` of that Watcher."""
    target = planted.target(folder)
    length = settings(**planted.length) if planted.soak == "soak_c" else ["--set", "quiet_s=2"]
    asked = ("run", planted.soak, "--fault", planted.fault, "--seed", str(seed))
    return chaos(folder / "runs", *asked, "--target", str(target), *length)


def judged(planted: Planted, done: Done) -> Judged:
    """The failed checks and the causes of a finished run; none without a verdict."""
    try:
        failed = done.failed()
        path = str(done.run().path)
        found = explain(path, done.runs, target="reference", deep=False)
        causes = tuple(cause.name for cause in found.causes)
    except (AssertionError, OSError) as error:
        return Judged(planted, done.exit_code, frozenset(), (), f"{error}\n{done.text}")
    return Judged(planted, done.exit_code, failed, causes, done.text)


def _judged_defects(results: Sequence[Judged]) -> list[Judged]:
    return [one for one in results if one.planted.checks and not one.planted.blind]


def _healthy(results: Sequence[Judged]) -> list[Judged]:
    return [one for one in results if not one.planted.checks and not one.planted.blind]


def totals(results: Sequence[Judged]) -> Measured:
    """How often the harness was right; what it is known not to see does not count."""
    caught = [one for one in _judged_defects(results) if one.caught]
    return Measured(
        defects=len(_judged_defects(results)),
        caught=len(caught),
        causes_right=sum(one.named for one in caught),
        healthy=len(_healthy(results)),
        accused=sum(one.accused for one in _healthy(results)),
    )


def page(results: Sequence[Judged]) -> str:
    """The track record as Markdown."""
    defects = [one for one in results if one.planted.checks or one.planted.blind]
    judged, healthy, total = _judged_defects(results), _healthy(results), totals(results)
    lines = [
        "# Track record",
        "",
        "Made by `scripts/truth-table`: each planted Watcher in tests/planted/ is run on the real",
        "stack (`chaos run`, embedded backend, a real LLM), and judged like any other.",
        "",
        f"**{total.caught} of {total.defects} defects caught, the cause right for "
        f"{total.causes_right} of these; {total.accused} of {total.healthy} healthy Watchers "
        "accused.**",
        "",
        "One run each. On a busy machine a fault may not be proven, and the run says so (exit 3):",
        "it is made again. The defects and the checks are of the same authors: a set that they",
        "have not seen is the better proof.",
        "",
        "## Defects",
        "",
        "| Watcher | what is wrong | under | caught by | cause named | |",
        "|---|---|---|---|---|---|",
    ]
    for one in judged:
        by = ", ".join(sorted(one.failed & one.planted.checks)) or "-"
        mark = "" if one.caught and one.named else "cause wrong" if one.caught else "**missed**"
        lines.append(
            f"| `{one.planted.name}` | {one.planted.says} | {one.planted.fault.partition(':')[0]} "
            f"| {by} | {', '.join(one.causes) or '-'} | {mark} |"
        )
    lines += [
        "",
        "## Healthy Watchers of other habits",
        "",
        "| Watcher | habit | |",
        "|---|---|---|",
    ]
    for one in healthy:
        mark = f"**accused** by {', '.join(sorted(one.failed))}" if one.accused else "left alone"
        if one.exit_code not in (0, 1):
            mark += f" (exit {one.exit_code})"
        lines.append(f"| `{one.planted.name}` | {one.planted.says} | {mark} |")
    lines += ["", "## Known not to be seen", ""]
    blind = [f"- `{one.planted.name}`: {one.planted.says}" for one in defects if one.planted.blind]
    lines += blind or ["None of these. For other defects nothing is proven by this table."]
    lines += [
        "",
        "## Found where nothing was planted",
        "",
        "| program | what was wrong | found by |",
    ]
    lines += ["|---|---|---|", *(f"| {' | '.join(row)} |" for row in FOUND)]
    return "\n".join([*lines, ""])


# Kept by hand: program, what was wrong, what found it.
FOUND = (
    (
        "the reference Watcher (images/watcher)",
        "a request was COMPLETED and its policy candidate lost: the child's rename in the work "
        "folder was not durable when the commit marker was",
        "`chaos sweep --kind power --seed 7`: point 15 (fsync of `policy_history`), by "
        "`published_intact`; mended",
    ),
    (
        "examples/plan-grown",
        "a request that was decided when the Watcher was killed was decided and worked once more",
        "`chaos sweep examples/plan-grown/target.yaml --work selfplay --kind crash --seed 7`: "
        "points 6 (third fsync of `watcher_decisions.jsonl`) and 7 (rename into the archive); "
        "mended",
    ),
)


def main(argv: Sequence[str]) -> int:
    """Run them; exit code 1 if a defect was missed or a healthy Watcher accused."""
    parser = argparse.ArgumentParser(prog="scripts/truth-table", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    parser.add_argument("--again", type=Path, help="judge the runs that are kept there once more")
    options = parser.parse_args(argv)
    wanted = [one for one in (*DEFECTS, *HEALTHY) if not options.only or one.name in options.only]
    unknown = set(options.only) - {one.name for one in wanted}
    if unknown:
        parser.error(f"no planted Watcher {', '.join(sorted(unknown))}")
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-truth-") as kept:
        root = options.keep or Path(kept)

        def one(planted: Planted) -> Judged:
            if options.again:
                result = judge_again(planted, options.again / planted.name)
            else:
                folder = root / planted.name
                folder.mkdir(parents=True)
                result = judge(planted, folder, options.seed)
            shown = {"failed": sorted(result.failed), "causes": result.causes}
            print(f"{planted.name}: exit {result.exit_code} {json.dumps(shown)}", flush=True)
            return result

        with ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(one, wanted))
    took_s = time.monotonic() - begin_s
    if not options.only:
        PAGE.write_text(page(results), encoding="utf-8")
        MEASURED.write_text(measured_text(totals(results)), encoding="utf-8")
    wrong = [
        result.planted.name
        for result in results
        if not result.planted.blind
        and (not result.caught if result.planted.checks else result.accused)
    ]
    print(f"{len(results)} runs in {took_s:.0f} s; wrong: {', '.join(wrong) or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
