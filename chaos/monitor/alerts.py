"""Alert rules, which are thresholds on signals: `watcher.rss_anon_bytes>200MB for 60s`.

Rules are parsed from text, and evaluated at each sample with constant memory. An absent signal is
never a number: it meets no threshold except `KEY=absent`. Knows no source.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaos.base.errors import UsageError
from chaos.base.units import duration_s
from chaos.base.yamlfile import scalar
from chaos.witness.base import Values

NONE = "none"
ABSENT = "absent"

# The growth limits are the plan's. 60 s: the LLM server is stopped for work by design, but shorter.
# The limit of free space depends on the volume: see `free_space_rule`.
DEFAULTS = (
    "watcher.pid=absent for 5s",
    "rise:watcher.rss_anon_bytes>200MB",
    "rise:watcher.fds>50",
    "rise:log.tracebacks>0",
    "rise:queue.quarantined>0",
    "queue.stalled_s>300",
    "llm.health!=ok for 60s",
)
_FREE_PART = 0.05  # of the volume
_FREE_BYTES_MAX = 5e9

_RULE = re.compile(
    r"(?P<rise>rise:)?(?P<key>[A-Za-z0-9_.]+)\s*(?P<op><=|>=|!=|==|=|<|>)\s*(?P<value>[^\s<>=!]+)"
    r"(\s+for\s+(?P<hold>\S+))?"
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(kB|KB|MB|GB|KiB|MiB|GiB)")
_FACTORS = {
    "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
_EXAMPLE = "e.g. 'watcher.rss_anon_bytes>200MB', 'rise:watcher.fds>20', 'llm.health!=ok for 60s'"


@dataclass(frozen=True)
class Change:
    """A rule that was raised or cleared. `measured` is the value that was compared."""

    state: str  # raised, cleared
    rule: str
    measured: float | int | str | bool | None


@dataclass
class Rule:
    """One threshold with its state.

    `rise`: the increase since the first sample with the key is compared. `hold_s`: how long the
    threshold must be met before the alert is raised.
    """

    text: str
    key: str
    op: str
    value: float | str
    rise: bool = False
    hold_s: float = 0.0
    raised: bool = False
    times: int = 0
    measured_ever: bool = False
    _first: float | None = field(default=None, repr=False)
    _since_s: float | None = field(default=None, repr=False)

    @property
    def waits(self) -> bool:
        """True if the threshold is met, but not yet for `hold_s`."""
        return self._since_s is not None and not self.raised

    def evaluate(self, values: Values, now_s: float) -> Change | None:
        """Evaluate one sample. Returns the change if the alert is raised or cleared."""
        measured = values.get(self.key)
        self.measured_ever = self.measured_ever or measured is not None
        if self.rise and isinstance(measured, (int, float)):
            if self._first is None:
                self._first = measured
            measured = measured - self._first
        if not self._met(measured):
            self._since_s = None
            if self.raised and not (measured is None and self.value != ABSENT):
                self.raised = False
                return Change("cleared", self.text, measured)
            return None
        if self._since_s is None:
            self._since_s = now_s
        if self.raised or now_s - self._since_s < self.hold_s:
            return None
        self.raised = True
        self.times += 1
        return Change("raised", self.text, measured)

    def _met(self, measured: float | int | str | bool | None) -> bool:
        if self.value == ABSENT:
            return (measured is None) == (self.op != "!=")
        if measured is None:
            return False
        if isinstance(self.value, str):
            return (str(measured) == self.value) == (self.op != "!=")
        if isinstance(measured, str):
            return self.op == "!="  # text never equals a number
        return _OPERATORS[self.op](float(measured), self.value)


def parse_rule(text: str) -> Rule:
    """Parse the text of one `--alert`. Raises `UsageError`."""
    place = f"--alert {text}"
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            "not an alert: KEY OPERATOR VALUE [for DURATION]", place=place, next_step=_EXAMPLE
        )
    value = _value(match["value"])
    rise = match["rise"] is not None
    if isinstance(value, str) and (rise or match["op"] not in ("=", "==", "!=")):
        raise UsageError(
            f"{value!r} is not a number or a size", place=place, next_step="write e.g. 5, 200MB"
        )
    hold_s = duration_s(match["hold"], place=place) if match["hold"] else 0.0
    return Rule(text.strip(), match["key"], match["op"], value, rise, hold_s)


def _value(text: str) -> float | str:
    size = _SIZE.fullmatch(text)
    if size is not None:
        return float(size[1]) * _FACTORS[size[2]]
    value = scalar(text)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return text


def free_space_rule(volume_bytes: int) -> Rule:
    """The default rule for free space: 5 % of the volume, 5 GB at most."""
    limit = min(_FREE_PART * volume_bytes, _FREE_BYTES_MAX)
    unit = "GB" if limit >= _FACTORS["GB"] else "MB" if limit >= _FACTORS["MB"] else "kB"
    return parse_rule(f"disk.workspace_free_bytes<{limit / _FACTORS[unit]:.1f}{unit}")


def parse_rules(texts: Sequence[str]) -> list[Rule]:
    """The default rules and those in `texts`. `none` in `texts` removes the default rules.

    Raises `UsageError`.
    """
    chosen = [] if NONE in texts else list(DEFAULTS)
    chosen += [text for text in texts if text != NONE]
    return [parse_rule(text) for text in dict.fromkeys(chosen)]
