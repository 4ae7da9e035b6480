"""Take a snapshot of one process through /proc: descriptors by kind, sockets by state, memory.

Only reads. A part that this user may not read holds the reason instead. Knows nothing of a Watcher;
`inspection.py` decides which processes matter.
"""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chaos.base.proc import command_line, pids, working_folder

_PROC = Path("/proc")
_DESCRIPTORS_MAX = 4096
_MAPPINGS_MAX = 4096
_NET_LINES_MAX = 20_000
_TOP = 5
_COMMAND_MAX = 200
# Kernel: include/net/tcp_states.h
TCP_STATES = {
    "01": "ESTABLISHED",
    "02": "SYN_SENT",
    "03": "SYN_RECV",
    "04": "FIN_WAIT1",
    "05": "FIN_WAIT2",
    "06": "TIME_WAIT",
    "07": "CLOSE",
    "08": "CLOSE_WAIT",
    "09": "LAST_ACK",
    "0A": "LISTEN",
    "0B": "CLOSING",
}


def working_in(folder: Path) -> list[int]:
    """PIDs of the visible processes whose working directory is `folder`, sorted."""
    target = folder.resolve()
    return sorted(pid for pid in pids() if working_folder(pid) == target)


def command_of(pid: int) -> str:
    """The command line, at most 200 characters; "" if the process has ended."""
    return command_line(pid, _COMMAND_MAX)


def snapshot_of(pid: int, role: str, *, deep: bool) -> dict[str, Any] | None:
    """The snapshot of process `pid`, ready for JSON; None if it has ended.

    Sizes are in bytes. `deep` adds the mappings with the most anonymous memory.
    """
    status = _status(pid)
    if not status:
        return None
    kinds, inodes = _descriptors(pid)
    snapshot: dict[str, Any] = {
        "pid": pid,
        "role": role,
        "command": command_of(pid),
        "state": status.get("State", "?"),
        "threads": _number(status.get("Threads")),
        "rss_anon_bytes": _bytes(status.get("RssAnon")),
        "swap_bytes": _bytes(status.get("VmSwap")),
        "descriptors": kinds,
        "descriptor_limit": _descriptor_limit(pid),
        "sockets": _socket_states(pid, inodes),
    }
    if deep:
        snapshot["mappings"] = _mappings(pid)
    return snapshot


def listening(port: int) -> bool:
    """True if a process of this network namespace listens on TCP `port`."""
    return any(
        fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
        for fields in tcp_table("self")
    )


def _status(pid: int) -> dict[str, str]:
    try:
        text = (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _descriptors(pid: int) -> tuple[dict[str, int] | str, set[str]]:
    """(number of descriptors by kind, or why they cannot be read; inodes of the sockets)."""
    kinds: Counter[str] = Counter()
    inodes: set[str] = set()
    try:
        entries = os.scandir(_PROC / str(pid) / "fd")
    except OSError as error:
        return f"cannot be seen: {error.strerror}", inodes
    with entries:
        for number, entry in enumerate(entries):
            if number >= _DESCRIPTORS_MAX:
                kinds["not looked at"] += 1
                break
            target = _link(Path(entry.path))
            kinds[_kind(target)] += 1
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    return dict(sorted(kinds.items())), inodes


def _kind(target: str) -> str:
    if not target.startswith("/"):
        return target.partition(":")[0] or "gone"
    if target.endswith(" (deleted)"):
        return "deleted file"
    # What lies in /dev/shm is a file in memory.
    device = target.startswith("/dev/") and not target.startswith("/dev/shm/")
    return "device" if device else "file"


def _socket_states(pid: int, inodes: set[str]) -> dict[str, int]:
    states: Counter[str] = Counter()
    for fields in tcp_table(pid):
        if fields[9] in inodes:
            states[TCP_STATES.get(fields[3], fields[3])] += 1
    return dict(sorted(states.items()))


def tcp_table(pid: int | str) -> Iterator[list[str]]:
    """The TCP sockets in the network namespace of `pid`, each as its fields (proc_net_tcp(5)).

    Works for every namespace. A table that cannot be read (no IPv6, the process has ended) is
    left out.
    """
    for name in ("tcp", "tcp6"):
        with (
            contextlib.suppress(OSError),
            (_PROC / str(pid) / "net" / name).open(encoding="ascii", errors="replace") as stream,
        ):
            lines = itertools.islice(stream, 1, _NET_LINES_MAX)
            yield from (fields for line in lines if len(fields := line.split()) > 9)


def _descriptor_limit(pid: int) -> int | None:
    try:
        text = (_PROC / str(pid) / "limits").read_text(encoding="utf-8")
    except OSError:
        return None
    line = next((line for line in text.splitlines() if line.startswith("Max open files")), "")
    fields = line.split()
    return int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else None


def _mappings(pid: int) -> list[dict[str, Any]] | str:
    """The mappings with the most anonymous memory, largest first, or why they cannot be read."""
    sizes: Counter[str] = Counter()
    name = ""
    try:
        with (_PROC / str(pid) / "smaps").open(encoding="utf-8", errors="replace") as stream:
            for number, line in enumerate(stream):
                if number > _MAPPINGS_MAX * 25:
                    break
                fields = line.split()
                if line.startswith("Anonymous:"):
                    sizes[name] += int(fields[1]) * 1024
                elif fields and not fields[0].endswith(":"):
                    name = fields[5] if len(fields) > 5 else "anonymous"
    except OSError as error:
        return f"cannot be seen: {error.strerror}"
    return [{"mapping": name, "anonymous_bytes": size} for name, size in sizes.most_common(_TOP)]


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _bytes(text: str | None) -> int | None:
    return int(text.split()[0]) * 1024 if text else None
