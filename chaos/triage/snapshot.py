"""What a close look at a stack showed, in lines for people. Knows only the snapshot's shape."""

from typing import Any

_TOP = 3
_ALLOCATORS = 5


def seen_lines(look: dict[str, Any]) -> list[str]:
    """The lines of one snapshot; parts that are not there, or not as expected, are left out."""
    lines: list[str] = []
    for one in _dicts(look.get("processes")):
        lines += _process(one)
    lines += allocator_lines(look)
    queue = look.get("queue")
    if isinstance(queue, dict):
        parts = ("pending", "claimed", "quarantined", "archived")
        lines.append("queue: " + ", ".join(f"{queue.get(part, '?')} {part}" for part in parts))
        for request in _dicts(queue.get("stuck"))[:10]:
            wrong = request.get("defect") or "can be read"
            lines.append(f"{request.get('part')} {request.get('path')}: {wrong}")
    volume = look.get("volume")
    if isinstance(volume, dict) and "free_bytes" in volume:
        free, total = _mb(volume["free_bytes"]), _mb(volume.get("total_bytes"))
        lines.append(f"volume: {free} free of {total}, {volume.get('free_inodes')} files more")
    files = look.get("files")
    if isinstance(files, dict):
        for name, what in (("largest", "largest file"), ("folders", "folder")):
            for entry in _dicts(files.get(name))[:_TOP]:
                lines.append(f"{what} {entry.get('path')}: {_mb(entry.get('bytes'))}")
    listening = look.get("listening")
    if isinstance(listening, dict):
        lines += [
            f"LLM {name}: {'somebody listens' if open_ else 'nobody listens'}"
            for name, open_ in listening.items()
        ]
    lines += _gpu(look.get("gpu"))
    lines += [f"{error.get('path')}: {error.get('text')}" for error in _dicts(look.get("errors"))]
    if isinstance(look.get("cut"), list):
        lines += [f"left out: {text}" for text in look["cut"]]
    return lines


def allocator_lines(look: dict[str, Any]) -> list[str]:
    """What holds most of the Watcher's memory, or why that is not known; [] when nobody asked."""
    memory = look.get("memory")
    if not isinstance(memory, dict):
        return []
    if "absent" in memory:
        return [f"top allocators cannot be had: {memory['absent']}"]
    whole = "" if memory.get("complete") else f" (of {memory.get('examined')} objects looked at)"
    lines = []
    for part, key, what in (
        ("types", "type", "top allocators by type"),
        ("largest", "type", "largest single objects"),
        ("lines", "line", "top allocators by line"),
    ):
        shown = [
            f"{one.get(key)} {_mb(one.get('bytes'))}"
            + (f" in {one['count']}" if "count" in one else "")
            for one in _dicts(memory.get(part))[:_ALLOCATORS]
        ]
        if shown:
            lines.append(f"{what}{whole if part != 'lines' else ''}: {', '.join(shown)}")
    return lines


def _process(one: dict[str, Any]) -> list[str]:
    descriptors = one.get("descriptors")
    kinds = _counts(descriptors) if isinstance(descriptors, dict) else str(descriptors)
    lines = [
        f"{one.get('role')} {one.get('pid')}: {one.get('state')}, "
        f"{_mb(one.get('rss_anon_bytes'))} anonymous, {one.get('threads')} threads, "
        f"descriptors: {kinds} (limit {one.get('descriptor_limit')}), "
        f"sockets: {_counts(one.get('sockets'))}"
    ]
    mappings = one.get("mappings")
    for entry in _dicts(mappings)[:_TOP]:
        lines.append(f"  {entry.get('mapping')}: {_mb(entry.get('anonymous_bytes'))} anonymous")
    return lines


def _gpu(gpu: Any) -> list[str]:
    if not isinstance(gpu, dict):
        return []
    if "absent" in gpu:
        return [f"GPU: none to see ({gpu['absent']})"]
    lines = [f"GPU memory not to see: {why}" for why in gpu.get("unseen", ())]
    for one in _dicts(gpu.get("gpus")):
        name = str(one.get("name", one.get("index"))).removeprefix("gpu")
        lines.append(f"GPU {name}: {_mb(one.get('used_bytes'))} in use")
        lines += [f"  not to see: {why}" for why in one.get("unseen", ())]
        for holder in _dicts(one.get("holders")):
            lines.append(
                f"  held by {holder.get('pid')} {holder.get('command')}: "
                f"{_mb(holder.get('used_bytes'))}"
            )
    return lines


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _counts(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return "none"
    return ", ".join(f"{count} {name}" for name, count in value.items())


def _mb(value: Any) -> str:
    return f"{value / 1e6:.1f} MB" if isinstance(value, (int, float)) else "? MB"
