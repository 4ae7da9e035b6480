"""After a crash at any moment, the open entries of the ledger are what may still be broken."""

from __future__ import annotations

from pathlib import Path

from chaos.faults.ledger import Ledger, Open


def entry(fault_id: str) -> Open:
    return Open(fault_id, "llm_timeout", "stack", {"toxic": fault_id})


def test_an_entry_is_open_until_it_is_closed(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    assert ledger.open_entries() == []
    ledger.open(entry("f001"))
    ledger.open(entry("f002"))
    ledger.close("f001", "recovery proven")
    assert [e.fault_id for e in Ledger(ledger.path).open_entries()] == ["f002"]


def test_closing_an_entry_is_idempotent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.open(entry("f001"))
    ledger.close("f001", "once")
    ledger.close("f001", "twice")
    assert ledger.open_entries() == []


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    """The fault acts only after its whole line is on disk, so a torn line is no fault."""
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.open(entry("f001"))
    whole = ledger.path.read_bytes()
    ledger.open(entry("f002"))
    ledger.path.write_bytes(ledger.path.read_bytes()[: len(whole) + 20])
    assert [e.fault_id for e in ledger.open_entries()] == ["f001"]
