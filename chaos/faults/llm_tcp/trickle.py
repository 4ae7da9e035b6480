"""llm_trickle: the LLM's answers arrive in small pieces with gaps between them.

Done by Toxiproxy's `slicer` toxic on the answers. Proven by the pieces of a real answer as they
come out of the socket: at least five, of about the size asked for, with about the gaps asked for,
while directly the same answer comes in a few.
"""

from __future__ import annotations

from typing import Any, ClassVar

from chaos.faults.base import COUNT, HOLD, PERIOD, Param, Value
from chaos.faults.llm_tcp.link import HEALTH, PROPS, Look, ToxicFault

_PIECES_MIN = 5
_DIRECT_PIECES_MAX = 3
_SMALL_BYTES = 30  # pieces so small are counted on a short answer
_SLACK_S = 1.0


class LLMTrickle(ToxicFault):
    """See the module."""

    name: ClassVar[str] = "llm_trickle"
    summary: ClassVar[str] = "the LLM's answers trickle in: small pieces, with gaps"
    toxic: ClassVar[str] = "slicer"
    params: ClassVar[tuple[Param, ...]] = (
        HOLD,
        COUNT,
        PERIOD,
        Param("size", "int", "bytes in a piece", default=100, min=1, max=400),
        Param("gap", "duration", "between two pieces", default=0.05, min=0.005, max=1.0),
    )

    def __init__(self, fault_id: str, values: dict[str, Value]) -> None:
        super().__init__(fault_id, values)
        self._size = int(values["size"])
        self._gap_s = float(values["gap"])

    def attributes(self) -> dict[str, int]:
        """Bytes, and the gap in microseconds."""
        return {
            "average_size": self._size,
            "size_variation": 0,
            "delay": round(self._gap_s * 1_000_000),
        }

    def path(self) -> str:
        """An answer of enough pieces, and not of too many."""
        return HEALTH if self._size <= _SMALL_BYTES else PROPS

    def look_s(self) -> float:
        """Enough for the pieces that are needed; the rest of the answer is not waited for."""
        return 3 * _PIECES_MIN * self._gap_s + _SLACK_S

    def felt(self, look: Look) -> bool:
        """Many small pieces with gaps, and only through the proxy."""
        through = look.through
        direct = max(len(look.before.pieces), len(look.after.pieces))
        return (
            len(through.pieces) >= _PIECES_MIN
            and through.median_piece_bytes <= self._size * 1.5
            and through.median_gap_ms >= self._gap_s * 500
            and direct <= _DIRECT_PIECES_MAX
        )

    def details(self, look: Look) -> dict[str, Any]:
        """Size and gap as they were."""
        return {
            "piece_bytes": look.through.median_piece_bytes,
            "gap_ms": round(look.through.median_gap_ms, 1),
        }
