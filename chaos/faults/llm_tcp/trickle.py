"""llm_trickle: the LLM's answers arrive in small pieces with gaps between them.

Done by Toxiproxy's `slicer` toxic on the answers. Proven by the pieces of a real answer as they
come out of the socket: at least five, of about the size asked for, with about the gaps asked for,
while directly the same answer comes in a few.
"""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import HEALTH, PROPS, Look, ToxicFault
from chaos.faults.params import FaultParams, duration, number

_PIECES_MIN = 5
_DIRECT_PIECES_MAX = 3
_SMALL_BYTES = 30  # pieces so small are counted on a short answer
_SLACK_S = 1.0


class LLMTrickle(ToxicFault):
    name = "llm_trickle"
    summary = "the LLM's answers trickle in: small pieces, with gaps"
    toxic = "slicer"

    class Params(FaultParams):
        size: Annotated[int, number("bytes in a piece", 1, 400)] = 100
        gap: Annotated[float, duration("between two pieces", 0.005, 1.0)] = 0.05

    params: Params

    def attributes(self) -> dict[str, int]:
        return {
            "average_size": self.params.size,
            "size_variation": 0,
            "delay": round(self.params.gap * 1_000_000),
        }

    def path(self) -> str:
        return HEALTH if self.params.size <= _SMALL_BYTES else PROPS

    def look_s(self) -> float:
        return 3 * _PIECES_MIN * self.params.gap + _SLACK_S

    def felt(self, look: Look) -> bool:
        through = look.through
        direct = max(len(look.before.pieces), len(look.after.pieces))
        return (
            len(through.pieces) >= _PIECES_MIN
            and through.median_piece_bytes <= self.params.size * 1.5
            and through.median_gap_ms >= self.params.gap * 500
            and direct <= _DIRECT_PIECES_MAX
        )

    def details(self, look: Look) -> dict[str, Any]:
        return {
            "piece_bytes": look.through.median_piece_bytes,
            "gap_ms": round(look.through.median_gap_ms, 1),
        }
