"""What was done to the daemon, and the proof of it: sentences and a small table of each fault.

A fault records what was measured while it held (`effect`) and afterwards (`recovery`). Keys and
their meanings are declared in `chaos/record/evidence_keys.py`. Knows no format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.base.printable import value_text
from chaos.checks.verdict import FaultOutcome
from chaos.record.evidence_keys import EVIDENCE, unit_of
from chaos.report.words import measured_text, seconds_text

# Rows of exchanges: these keys of evidence are one row each, asked before and after one another.
_EXCHANGES = {
    "directly": ("direct_before", "direct", "direct_after"),
    "through the proxy": ("through_proxy",),
}
_PATHS = {key: row for row, keys in _EXCHANGES.items() for key in keys}
# Rows that tell more than others, and in what two exchanges differ, the most telling first.
_TELLING = ("path taken", "write", "writes refused", "got", "now", "proof")
_DIFFERENCES = ("outcome", "ended", "status", "content", "took_ms")
_UNSHOWN = ("attempts", "took_ms", "late_ms", "traits", "undo")
_BEFORE, _DURING, _AFTER = range(3)


@dataclass
class Row:
    """One row of a proof: what was measured, its declared meaning, and a cell for each time."""

    label: str
    meaning: str
    cells: tuple[list[str], list[str], list[str]]


@dataclass(frozen=True)
class Proof:
    """A fault for people."""

    fault: FaultOutcome
    became: str
    done: str  # what was done, in one sentence
    afterwards: str  # what was measured after recovery, in one sentence
    rows: list[Row]
    shows_before: bool


def proof_of(fault: FaultOutcome, what: str) -> Proof:
    """The proof of `fault`; `what` says what it breaks, "" where the record does not."""
    rows = _rows(fault)
    return Proof(
        fault=fault,
        became=_became(fault),
        done=_done(fault, what, rows),
        afterwards=_afterwards(fault, rows),
        rows=rows,
        shows_before=any(row.cells[_BEFORE] for row in rows),
    )


def _became(fault: FaultOutcome) -> str:
    if fault.injected_s is None:
        return "not injected"
    if fault.proven_s is None:
        return "effect not proven"
    return "recovered" if fault.recovered_s is not None else "recovery not proven"


def _done(fault: FaultOutcome, what: str, rows: list[Row]) -> str:
    text = f" ({what})" if what else ""
    if fault.injected_s is None:
        return f"{fault.name}{text} was scheduled and not injected: {fault.state}."
    parts = [f"{fault.name}{text} was injected at {seconds_text(fault.injected_s)} s"]
    if fault.recovering_s is None:
        parts.append("and never undone")
    else:
        parts.append(f"and held {seconds_text(fault.recovering_s - fault.injected_s)} s")
    if fault.proven_s is None:
        effect = "its effect was not proven"
    else:
        by = _proof_words(fault, rows)
        effect = f"its effect was proven at {seconds_text(fault.proven_s)} s"
        effect += f" ({by})" if by else ""
    if fault.recovered_s is None or fault.recovering_s is None:
        recovery = "its recovery was not proven"
    else:
        took_s = max(0.1, fault.recovered_s - fault.recovering_s)
        recovery = f"its recovery within {seconds_text(took_s)} s of its undo"
    return f"{' '.join(parts)}; {effect}, {recovery}."


def _proof_words(fault: FaultOutcome, rows: list[Row]) -> str:
    """What shows the effect: how an exchange on both paths differs, else one measurement."""
    proxy = fault.effect.get("through_proxy")
    direct = fault.effect.get("direct_before") or fault.effect.get("direct")
    if isinstance(proxy, Mapping) and isinstance(direct, Mapping):
        key = next((k for k in _DIFFERENCES if proxy.get(k) != direct.get(k)), "took_ms")
        words = (("through the proxy", proxy), ("directly", direct))
        return ", ".join(f"{word}: {value_of(key, value.get(key))}" for word, value in words)
    return _in_words(rows, _DURING)


def _in_words(rows: list[Row], place: int) -> str:
    """What the most telling rows say of one time: both paths, else the first that says anything."""
    said = [row for row in rows if row.cells[place]]
    shown = [row for row in said if row.label in _EXCHANGES]
    telling = [row for row in said if row.label in _TELLING]
    return ", ".join(
        f"{row.label}: {row.cells[place][0].partition(',')[0]}"
        for row in reversed(shown or telling[:1] or said[:1])
    )


def _afterwards(fault: FaultOutcome, rows: list[Row]) -> str:
    words = _in_words(rows, _AFTER)
    sentences = [f"Afterwards, {words}."] if words else []
    if reason := fault.effect.get("reason") or fault.recovery.get("not_struck"):
        sentences.append(f"{value_of('', reason)}.")
    return " ".join(sentences)


def _rows(fault: FaultOutcome) -> list[Row]:
    """Exchanges first, then the rest in the order of their declaration."""
    rows: dict[str, Row] = {}
    for measured, place in ((fault.effect, _DURING), (fault.recovery, _AFTER)):
        for key in sorted(measured, key=_order):
            if key in _UNSHOWN:
                continue
            base, when = _split(key, measured, place)
            label = _PATHS.get(key, base.replace("_", " "))
            row = rows.setdefault(label, Row(label, _meaning(base, key), ([], [], [])))
            text = value_of(base, measured[key])
            if text not in row.cells[when]:
                row.cells[when].append(text)
    return list(rows.values())


def _order(key: str) -> tuple[int, int]:
    names = list(EVIDENCE)
    return (key not in _PATHS, names.index(key) if key in EVIDENCE else len(names))


def _split(key: str, measured: Mapping[str, Any], place: int) -> tuple[str, int]:
    """(the key without its time, the column): `free_mb_before` is `free_mb`, before the fault."""
    if key in _PATHS:
        return key, place
    if key == "before":
        return "now", _BEFORE
    for suffix, when in (("_before", _BEFORE), ("_at_end", _DURING)):
        base = key.removesuffix(suffix)
        if base != key and (base in EVIDENCE or base in measured):
            return base, when
    return key, place


def _meaning(base: str, key: str) -> str:
    if key in _PATHS:
        return "an exchange with the LLM"
    name = base if base in EVIDENCE else key
    return EVIDENCE[name].meaning if name in EVIDENCE else ""


def value_of(key: str, value: Any) -> str:
    """A measurement with its unit: an exchange as `answered, status 200, took 2.9 ms`."""
    if isinstance(value, Mapping):
        return _of_object(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(value_of("", item) for item in value) or "none"
    if value is None:
        return "none"
    if key == "content":  # foreign text
        return f'"{value}"'
    unit = unit_of(key) if isinstance(value, (int, float)) else ""
    return f"{value_text(value)} {unit}".strip()


def _of_object(value: Mapping[str, Any]) -> str:
    """What came of it first, its duration last; what was not there is left out."""
    how = value.get("outcome") or value.get("ended")
    if how is None:
        return measured_text(value) or "none"
    parts = [str(how)]
    for name, inner in value.items():
        if name not in ("outcome", "ended", "took_ms") and inner not in (None, ""):
            unit = unit_of(name)
            label = "" if name == unit else f"{name.removesuffix(f'_{unit}').replace('_', ' ')} "
            parts.append(label + value_of(name, inner))
    if "took_ms" in value:
        parts.append(f"took {value_of('took_ms', value['took_ms'])}")
    return ", ".join(parts)
