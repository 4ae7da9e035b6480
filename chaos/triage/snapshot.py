"""The text of a snapshot of a stack. Knows only the shape of the snapshot."""

from typing import Any

_TOP = 3
_ALLOCATORS = 5
_THREADS = 10
_FRAMES = 25


def seen_lines(snapshot: dict[str, Any]) -> list[str]:
    """The lines of one snapshot, without parts that are missing or of another type."""
    lines: list[str] = []
    for process in dicts(snapshot.get("processes")):
        lines += _process(process)
    lines += allocator_lines(snapshot)
    queue = snapshot.get("queue")
    if isinstance(queue, dict):
        parts = ("pending", "claimed", "quarantined", "archived")
        lines.append("queue: " + ", ".join(f"{queue.get(part, '?')} {part}" for part in parts))
        for request in dicts(queue.get("stuck"))[:10]:
            state = request.get("defect") or "can be read"
            lines.append(f"{request.get('part')} {request.get('path')}: {state}")
    volume = snapshot.get("volume")
    if isinstance(volume, dict) and "free_bytes" in volume:
        free, total = _mb(volume["free_bytes"]), _mb(volume.get("total_bytes"))
        lines.append(f"volume: {free} free of {total}, {volume.get('free_inodes')} free inodes")
    files = snapshot.get("files")
    if isinstance(files, dict):
        for name, what in (("largest", "largest file"), ("folders", "folder")):
            for entry in dicts(files.get(name))[:_TOP]:
                lines.append(f"{what} {entry.get('path')}: {_mb(entry.get('bytes'))}")
    listening = snapshot.get("listening")
    if isinstance(listening, dict):
        lines += [
            f"LLM {name}: {'a process listens' if open_ else 'no process listens'}"
            for name, open_ in listening.items()
        ]
    lines += _gpu(snapshot.get("gpu"))
    lines += [
        f"{error.get('path')}: {error.get('text')}" for error in dicts(snapshot.get("errors"))
    ]
    if isinstance(snapshot.get("cut"), list):
        lines += [f"left out: {text}" for text in snapshot["cut"]]
    return lines


def allocator_lines(snapshot: dict[str, Any]) -> list[str]:
    """The top allocators, or why they are unknown; [] if they were not requested."""
    memory = snapshot.get("memory")
    if not isinstance(memory, dict):
        return []
    if "absent" in memory:
        return [f"top allocators cannot be had: {memory['absent']}"]
    whole = "" if memory.get("complete") else f" (of {memory.get('examined')} objects examined)"
    lines = []
    for part, key, what in (
        ("types", "type", "top allocators by type"),
        ("largest", "type", "largest single objects"),
        ("lines", "line", "top allocators by line"),
    ):
        shown = [
            f"{one.get(key)} {_mb(one.get('bytes'))}"
            + (f" in {one['count']}" if "count" in one else "")
            for one in dicts(memory.get(part))[:_ALLOCATORS]
        ]
        if shown:
            lines.append(f"{what}{whole if part != 'lines' else ''}: {', '.join(shown)}")
    return lines


def _process(process: dict[str, Any]) -> list[str]:
    descriptors = process.get("descriptors")
    kinds = (counts(descriptors) or "none") if isinstance(descriptors, dict) else str(descriptors)
    lines = [
        f"{process.get('role')} {process.get('pid')}: {process.get('state')}, "
        f"{_mb(process.get('rss_anon_bytes'))} anonymous, {process.get('threads')} threads, "
        f"descriptors: {kinds} (limit {process.get('descriptor_limit')}), "
        f"sockets: {counts(process.get('sockets')) or 'none'}"
    ]
    for entry in dicts(process.get("mappings"))[:_TOP]:
        lines.append(f"  {entry.get('mapping')}: {_mb(entry.get('anonymous_bytes'))} anonymous")
    return lines + _stacks(process.get("stacks"))


def _stacks(stacks: Any) -> list[str]:
    """The threads of the daemon, and where its Python program was; [] in an older record."""
    if not isinstance(stacks, dict):
        return []
    lines = [f"  thread {thread}" for thread in _texts(stacks.get("threads"))[:_THREADS]]
    lines += [f"  {line}" for line in _texts(stacks.get("python"))[:_FRAMES]]
    return lines + ([f"  no Python stack: {stacks['absent']}"] if "absent" in stacks else [])


def stacks_in(snapshot: dict[str, Any]) -> list[list[str]]:
    """The frames of each Python thread of the Watcher, the innermost first."""
    stacks: list[list[str]] = []
    for process in dicts(snapshot.get("processes")):
        found = process.get("stacks")
        for line in _texts(found.get("python") if isinstance(found, dict) else None):
            if line.startswith("Thread"):
                stacks.append([])
            elif stacks:
                stacks[-1].append(line.strip())
    return [frames for frames in stacks if frames]


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _gpu(gpu: Any) -> list[str]:
    if not isinstance(gpu, dict):
        return []
    if "absent" in gpu:
        return [f"GPU: not visible ({gpu['absent']})"]
    lines = [f"GPU memory not visible: {why}" for why in gpu.get("unseen", ())]
    for device in dicts(gpu.get("gpus")):
        name = str(device.get("name", device.get("index"))).removeprefix("gpu")
        lines.append(f"GPU {name}: {_mb(device.get('used_bytes'))} in use")
        lines += [f"  not visible: {why}" for why in device.get("unseen", ())]
        for holder in dicts(device.get("holders")):
            lines.append(
                f"  held by {holder.get('pid')} {holder.get('command')}: "
                f"{_mb(holder.get('used_bytes'))}"
            )
    return lines


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; [] if `value` is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def counts(value: Any) -> str:
    """The counts of an object, as in '4 file, 2 socket'; "" without any."""
    if not isinstance(value, dict):
        return ""
    return ", ".join(f"{count} {name}" for name, count in value.items())


def _mb(value: Any) -> str:
    return f"{value / 1e6:.1f} MB" if isinstance(value, (int, float)) else "? MB"
