"""The section `draws` of a target: how the draws that were due are known."""

from typing import Annotated, Literal

import msgspec

from chaos.base.units import LENGTH_MAX_S


class _Model(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    pass


class Lcg(_Model, frozen=True):
    """A linear congruential generator: from the state (seed xor `scramble`) mod `m` on, each draw
    takes the next state (`a` * state + `c`) mod `m`, and is state >> `shift`, mod `draws.modulus`.
    """

    a: int
    m: int
    c: int = 0
    shift: int = 0
    scramble: int = 0


class Generator(_Model, frozen=True):
    """How the draws are recomputed: exactly one of the two.

    `command`: a program of yours, run in the workspace once the daemon's files are collected. It
    prints `{count}` draws from `{seed}` on, a JSON number a line.
    """

    lcg: Lcg | None = None
    command: list[str] = []
    limit_s: Annotated[float, msgspec.Meta(gt=0, le=LENGTH_MAX_S)] = 60.0


class Draws(_Model, frozen=True):
    """How to recompute the draws; a draw of `bootstrap_source` was there before the run.

    A `command` needs no `modulus`; where it ignores `{seed}`, no `seed`.
    """

    bootstrap_source: str = ""
    generator: Literal["java_lcg"] | Generator | None = None
    seed: int | None = None
    modulus: int | None = None

    @property
    def command(self) -> list[str]:
        """The program that prints the expected draws; empty where they are computed."""
        return self.generator.command if isinstance(self.generator, Generator) else []
