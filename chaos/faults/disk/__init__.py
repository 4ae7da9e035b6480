"""The volume of the workspace: full, nearly full, read-only, flooded."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.disk.disk_full import DiskFull
from chaos.faults.disk.disk_log_flood import DiskLogFlood
from chaos.faults.disk.disk_pressure import DiskPressure
from chaos.faults.disk.disk_readonly import DiskReadonly

KINDS: tuple[type[Fault], ...] = (DiskFull, DiskPressure, DiskReadonly, DiskLogFlood)
