"""The tables of faults, the functions of SQL that ask them, and the columns made from them."""

from collections.abc import Sequence
from typing import Any

from chaos.record.database import Database, quoted
from chaos.record.fault_window import FaultWindow
from chaos.record.tables import TABLES


def load_faults(database: Database, windows: Sequence[FaultWindow], end_s: float) -> None:
    """Create `faults` and `planted`; the run ended at `end_s`."""
    database.create(TABLES["faults"], [_fault_row(window, end_s) for window in windows])
    database.create(
        TABLES["planted"],
        [
            {
                "fault_id": window.fault_id,
                "name": name,
                "must": end,
                "armed_s": window.at_s("armed"),
                "injected": "injected" in window.states,
            }
            for window in windows
            for name, end in window.planted.items()
        ],
    )


def _fault_row(window: FaultWindow, end_s: float) -> dict[str, Any]:
    cut_s = window.cut_s(end_s)
    injected = window.start_s is not None
    last = max(window.states.values(), key=lambda state: state[0], default=None)
    return {
        "fault_id": window.fault_id,
        "name": window.name,
        "state": last[1].state if last else None,
        "line": window.last_line or None,
        "armed_s": window.at_s("armed"),
        "earliest_s": window.earliest_s,
        "injected_s": window.start_s,
        "proven_s": window.at_s("effect_proven"),
        "recovering_s": window.at_s("recovering"),
        "recovered_s": window.end_s,
        "until_s": window.until_s(end_s) if injected else None,
        "affects_llm": window.affects_llm,
        "cut_from_s": cut_s[0] if cut_s else None,
        "cut_until_s": cut_s[1] if cut_s else None,
        "ends": list(window.ends),
        "undo": window.undo,
        "effect": window.evidence("effect_proven") or window.evidence("effect_unproven"),
        "recovery": window.evidence("recovered") or window.evidence("recovery_unproven"),
    }


def create_macros(database: Database, decision_log: str, servers: str) -> None:
    """Create the functions that `chaos.record.tables.MACROS` documents; needs the table `faults`.

    `decision_log` and `servers` are the references of those two files.
    """
    for macro in (
        "history_ref(line) as 'history.jsonl:' || line",
        f"decision_ref(line) as {quoted(decision_log + ':')} || line",
        f"server_ref(line) as {quoted(servers + ':')} || line",
        "witness_ref(line) as 'witness.jsonl:' || line",
        "wire_ref(line) as 'wire.jsonl:' || line",
        "in_fault(t) as exists (select 1 from faults where t between injected_s and until_s)",
    ):
        database.run(f"create macro {macro}")


def mark_faults(database: Database, table: str, time: str) -> None:
    """Fill the column `in_fault` of `table` by its column `time`."""
    database.run(f"update {table} set in_fault = false")
    database.run(
        f"update {table} set in_fault = true from faults f "
        f"where {table}.{time} between f.injected_s and f.until_s"
    )
