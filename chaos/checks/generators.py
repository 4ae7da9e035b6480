"""Expected draws: computed from a generator's formula, or printed by the user's program.

Independent of the programs under test on purpose: an oracle that shared their code would share
their mistakes. Source of `JAVA`: the algorithm in the class documentation of `java.util.Random`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from chaos.record.draws import Draws, Generator, Lcg
from chaos.record.open_run import OpenRun

JAVA = Lcg(a=0x5DEECE66D, c=0xB, m=1 << 48, shift=17, scramble=0x5DEECE66D)
INDEX_MAX = 10_000_000  # places of a sequence that are computed
_LINE_BYTES = 32  # more than a number takes


def lcg(of: Lcg, seed: int, modulus: int) -> Iterator[int]:
    """Endless draws."""
    state = (seed ^ of.scramble) % of.m
    while True:
        state = (state * of.a + of.c) % of.m
        yield (state >> of.shift) % modulus


def first_draws(seed: int, modulus: int, count: int, of: Lcg = JAVA) -> list[int]:
    """The first `count` draws. `JAVA` with seed 12345, modulus 1000 begins 251, 80, 241, 828."""
    return list(islice(lcg(of, seed, modulus), count))


def computed(of: Draws, count: int) -> list[int] | None:
    """The first `count` draws; None where they are not computed, or something is not said."""
    formula = of.generator.lcg if isinstance(of.generator, Generator) else JAVA
    if of.generator is None or formula is None or of.seed is None or of.modulus is None:
        return None
    return first_draws(of.seed, of.modulus, count, formula)


@dataclass(frozen=True)
class Expected:
    """The draws that were due, and what they are by; or a `problem` that is not the daemon's."""

    values: list[int]
    words: str
    problem: str = ""


def expected_draws(run: OpenRun, count: int) -> Expected:
    """At least the first `count` draws of the run's generator, or why they are not known."""
    of = run.target.draws
    values = computed(of, count)
    if values is not None:
        name = of.generator if isinstance(of.generator, str) else "the generator"
        return Expected(values, f"{name} with seed {of.seed}")
    words = "what the reference command printed"
    printed = run.last("draws_recomputed")
    if printed is None:
        return Expected([], words, "the reference command was not run")
    if problem := str(printed[1].detail.get("problem", "")):
        return Expected([], words, problem)
    values, problem = _printed(run)
    if not problem and len(values) < count:
        problem = f"the reference command printed {len(values)} draws, {count} are needed"
    return Expected(values, words, problem)


def _printed(run: OpenRun) -> tuple[list[int], str]:
    values: list[int] = []
    try:
        with run.run.expected_draws.open("rb") as stream:
            while (line := stream.readline(_LINE_BYTES)) and len(values) < INDEX_MAX:
                values.append(msgspec.json.decode(line, type=int))
    except OSError as error:
        return [], f"what the reference command printed cannot be read: {error.strerror}"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        shown = line.decode(errors="replace").strip()
        return [], f"line {len(values) + 1} of the reference command is no whole number: {shown!r}"
    return values, ""
