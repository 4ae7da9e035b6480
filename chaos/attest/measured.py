"""How often the harness itself is right: the totals of its truth table.

`measured.json` is written together with docs/track-record.md, by scripts/truth-table.
"""

from pathlib import Path

import msgspec

from chaos.attest.statement import Measured, Rates

FILE = Path(__file__).with_name("measured.json")


def read_measured() -> Rates:
    """The totals of this version, with the rate of defects caught and of false alarms."""
    totals = msgspec.json.decode(FILE.read_bytes(), type=Measured)
    return Rates(
        **msgspec.structs.asdict(totals),
        detection_rate=round(totals.caught / totals.defects, 4),
        false_alarm_rate=round(totals.accused / totals.healthy, 4),
    )


def measured_text(totals: Measured) -> str:
    """The content of `measured.json`."""
    return msgspec.json.encode(totals).decode().replace(",", ", ").replace(":", ": ") + "\n"
