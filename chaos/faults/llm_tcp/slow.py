"""Slow links: every answer of the LLM is whole, but it or the end of its connection comes late."""

from typing import Annotated, Any

from chaos.faults.llm_tcp.link import DIRECT_LIMIT_S, HEALTH, PROPS, LinkParams, Look, ToxicFault
from chaos.faults.params import duration, number

_SLACK_S = 1.0

_PART_KBYTES = 1.5  # of the answer; the rest is not waited for
_RATE_SLACK_S = 0.5
_FASTER_MIN = 5.0
_ABOVE_MAX = 1.34
_BYTES_MIN = 500  # a rate cannot be measured on fewer

_PIECES_MIN = 5
_DIRECT_PIECES_MAX = 3
_SMALL_BYTES = 30  # for pieces of up to this size a short answer is enough


class LLMBandwidth(ToxicFault):
    """Toxiproxy's `bandwidth` toxic on the answers.

    Proven on an answer of some kilobytes (the server's `/props`): its rate through the proxy is at
    most a third above the limit, and directly at least five times the limit.
    """

    name = "llm_bandwidth"
    summary = "the link to the LLM carries only so many kB/s"
    toxic = "bandwidth"

    class Params(LinkParams):
        rate: Annotated[int, number("1000 bytes per second", 1, 20)] = 1

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"rate": self.params.rate}

    def path(self) -> str:
        return PROPS

    def look_s(self) -> float:
        return _PART_KBYTES / self.params.rate + _RATE_SLACK_S

    def shows(self, look: Look) -> bool:
        through = look.through
        slow = 0 < through.rate_kbyte_s <= self.params.rate * _ABOVE_MAX
        fast = _direct_kbyte_s(look) >= self.params.rate * _FASTER_MIN
        return through.size_bytes >= _BYTES_MIN and slow and fast

    def details(self, look: Look) -> dict[str, Any]:
        return {
            "through_proxy_kbyte_s": round(look.through.rate_kbyte_s, 2),
            "direct_kbyte_s": round(_direct_kbyte_s(look), 1),
        }


def _direct_kbyte_s(look: Look) -> float:
    return min(look.before.rate_kbyte_s, look.after.rate_kbyte_s)


class LLMLatency(ToxicFault):
    """Toxiproxy's `latency` toxic on the answers.

    Proven, twice in a row, by an exchange through the proxy that takes at least the shortest
    latency possible, between two direct ones that take less than a quarter of it.
    """

    name = "llm_latency"
    summary = "the LLM's answers come late: latency and jitter on the link"
    toxic = "latency"
    looks_min = 2

    class Params(LinkParams):
        latency: Annotated[float, duration("by how much", 0.1, 60.0)] = 1.5
        jitter: Annotated[
            float, number("the part of it by which it varies, up and down (0.2: a fifth)", 0.0, 0.8)
        ] = 0.2

    params: Params

    @property
    def _jitter_s(self) -> float:
        return self.params.latency * self.params.jitter

    def attributes(self) -> dict[str, int]:
        return {
            "latency": round(self.params.latency * 1000),
            "jitter": round(self._jitter_s * 1000),
        }

    def look_s(self) -> float:
        return self.params.latency + self._jitter_s + _SLACK_S

    def shows(self, look: Look) -> bool:
        least_ms = (self.params.latency - self._jitter_s) * 950
        return look.through.last_byte_ms >= least_ms and look.direct_ms < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        return {"later_ms": round(look.through.last_byte_ms - look.direct_ms, 1)}


class LLMSlowClose(ToxicFault):
    """Toxiproxy's `slow_close` toxic on the answers: the server's close is passed on late.

    A client that reads to the end of the connection has to wait. Proven, twice in a row, by the
    time between the last byte and the end, through the proxy against directly.
    """

    name = "llm_slow_close"
    summary = "connections to the LLM stay open after the answer"
    toxic = "slow_close"
    looks_min = 2

    class Params(LinkParams):
        delay: Annotated[float, duration("how long after the answer", 0.1, 60.0)] = 1.0

    params: Params

    def attributes(self) -> dict[str, int]:
        return {"delay": round(self.params.delay * 1000)}

    def look_s(self) -> float:
        return self.params.delay + DIRECT_LIMIT_S

    def shows(self, look: Look) -> bool:
        least_ms = self.params.delay * 900
        through = look.through
        return through.ok and through.close_ms >= least_ms and _direct_close_ms(look) < least_ms / 4

    def details(self, look: Look) -> dict[str, Any]:
        return {
            "close_ms": round(look.through.close_ms, 1),
            "direct_close_ms": round(_direct_close_ms(look), 1),
        }


def _direct_close_ms(look: Look) -> float:
    return max(look.before.close_ms, look.after.close_ms)


class LLMTrickle(ToxicFault):
    """Toxiproxy's `slicer` toxic on the answers.

    Proven by the pieces in which an answer leaves the socket: at least five, of about the size and
    with about the gaps that are set, where a direct answer comes in three at most.
    """

    name = "llm_trickle"
    summary = "the LLM's answers trickle in: small pieces, with gaps"
    toxic = "slicer"

    class Params(LinkParams):
        size: Annotated[int, number("bytes in a piece", 1, 400)] = 100
        gap: Annotated[float, duration("between two pieces", 0.005, 1.0)] = 0.05

    params: Params

    def attributes(self) -> dict[str, int]:
        delay_us = round(self.params.gap * 1_000_000)
        return {"average_size": self.params.size, "size_variation": 0, "delay": delay_us}

    def path(self) -> str:
        return HEALTH if self.params.size <= _SMALL_BYTES else PROPS

    def look_s(self) -> float:
        return 3 * _PIECES_MIN * self.params.gap + _SLACK_S

    def shows(self, look: Look) -> bool:
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
