"""The process that a daemon's own file names: a field of a JSON object, or a number alone."""

from typing import Any

from chaos.base.files import json_object, select
from chaos.record.target import Instance

PID_MAX = 1 << 22


def plain_pid(content: bytes) -> int | None:
    """The process id that is the whole content of a file; None for anything else."""
    word = content.strip()
    number = int(word) if word.isdigit() and len(word) <= len(str(PID_MAX)) else 0
    return number if 0 < number <= PID_MAX else None


def named_process(content: bytes, instance: Instance) -> tuple[int | None, int | None]:
    """(PID, its start in clock ticks since boot), None for what the file does not say.

    A number alone is a PID whatever the target says of JSON fields.
    """
    pid: Any = plain_pid(content)
    if pid is not None or not instance.pid:
        return pid, None
    entry = json_object(content)
    pid = select(entry, instance.pid)
    ticks = select(entry, instance.start_ticks) if instance.start_ticks else None
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return None, None
    return pid, ticks if isinstance(ticks, int) else None
