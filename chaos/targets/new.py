"""A commented skeleton of a target, from what lies in a daemon's folder. Reads only."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaos.base.errors import UsageError

_FILES_MAX = 5000
_LOOK_BYTES = 64 << 10
_QUEUES = re.compile(r"inbox|queue|request|job|pending|incoming|task|spool", re.IGNORECASE)
_FINISHED = re.compile(r"outbox|archive|done|processed|finished|result|completed", re.IGNORECASE)
_ENTRY = re.compile(r"\bif __name__ == .__main__.|^#!.*\b(python3?|node|bash|sh)\b", re.MULTILINE)
_PORT = re.compile(r"(?:localhost|127\.0\.0\.1):(\d{2,5})")
# Records that a JSON document seems to be, by its name, and what to write for each.
_DOCUMENTS = {
    "draws": re.compile(r"draw|lottery|history", re.IGNORECASE),
    "telemetry": re.compile(r"telemetry|health|metrics", re.IGNORECASE),
    "predictions": re.compile(r"predict|forecast", re.IGNORECASE),
}
_COLUMNS = {
    "draws": "FIELD as value, FIELD as source",
    "telemetry": "FIELD as model_count, FIELD as timestamp",
    "predictions": "FIELD as draw_index, FIELD as values",
}
_PROGRAMS = {".py": "{python}", ".js": "node", ".mjs": "node", ".sh": "bash"}


@dataclass
class Found:
    """What a folder seems to have; paths are relative to it."""

    programs: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)  # JSON lines -> their fields
    plain_logs: list[str] = field(default_factory=list)
    documents: dict[str, str] = field(default_factory=dict)  # record -> a JSON document
    ports: dict[str, str] = field(default_factory=dict)  # port -> the file that names it


def look(folder: Path) -> Found:
    """Look through at most some thousand files. Raises `UsageError` where there is no folder."""
    if not folder.is_dir():
        raise UsageError(
            "no such folder", place=f"--source {folder}", next_step="name the daemon's folder"
        )
    found = Found()
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if path.is_dir():
            if _FINISHED.search(path.name):
                found.finished.append(name)
            elif _QUEUES.search(path.name):
                found.queues.append(name)
            continue
        text = _beginning(path)
        if path.suffix in _PROGRAMS and _ENTRY.search(text):
            found.programs.append(name)
        if path.suffix in (".jsonl", ".ndjson", ".log"):
            fields = _fields_of_lines(text)
            if fields:
                found.logs[name] = fields
            else:
                found.plain_logs.append(name)
        if path.suffix == ".json" and not set(found.queues + found.finished) & _folders(name):
            for record, pattern in _DOCUMENTS.items():
                if pattern.search(name):
                    found.documents.setdefault(record, name)
        for port in _PORT.findall(text):
            found.ports.setdefault(port, name)
    return found


def _folders(name: str) -> set[str]:
    return {str(parent) for parent in Path(name).parents}


def _files(folder: Path) -> Iterator[Path]:
    for count, path in enumerate(sorted(folder.rglob("*"))):
        if count >= _FILES_MAX:
            return
        parts = path.relative_to(folder).parts
        if not any(
            part.startswith(".") or part in ("node_modules", "__pycache__") for part in parts
        ):
            yield path


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LOOK_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _fields_of_lines(text: str) -> list[str]:
    """The fields of the first line, if it is a JSON object."""
    try:
        entry = json.loads(text.partition("\n")[0])
    except ValueError:
        return []
    return [str(key) for key in entry] if isinstance(entry, dict) else []


def skeleton(folder: Path, found: Found) -> str:
    """The text of a target's file. What was not found is named as a thing to fill in."""
    program = found.programs[0] if found.programs else "PROGRAM"
    runner = _PROGRAMS.get(Path(program).suffix, "")
    start = json.dumps([*([runner] if runner else []), program])
    queue = found.queues[0] if found.queues else "INBOX"
    finished = found.finished[0] if found.finished else "OUTBOX"
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", folder.resolve().name) or "mine"
    lines = [
        f"# A target made from what lies in {folder.name or '.'}/. Three things are required:",
        "# watcher.start, work.submit, work.done. docs/own-daemon.md explains all keys.",
        f"target: {name}",
        "workspace:",
        "  install:                     # copied into the daemon's working directory; relative to",
        "                               # this file",
        f"    - {{source: {program}, to: {program}}}",
        "watcher:",
        f"  start: {start}",
    ]
    lines += [f"  # or: {other}" for other in found.programs[1:4]]
    lines += [
        "  # ready_file: STATUS.json    # written once it is ready; or ready_url: http://…",
        "work:",
        f"  submit: {{folder: {queue}}}   # or {{command: […]}}, or {{post: http://127.0.0.1:PORT/PATH}}",
    ]
    lines += [f"  # or the folder {other}" for other in found.queues[1:3]]
    lines += [
        f"  done: {finished}/*          # the files of finished work; for STATUS_time_NAME:",
        "  # done: {files: archive/*.json, name: '(?P<status>[A-Z]+)_\\d+_(?P<request>.+)'}",
        f"  # pending: {queue}/*.json    # what waits; switches on several checks",
        "  # claimed: {files: claimed/*, name: '(?P<request>.+)\\.lock'}  # what it works on",
        '  body: {id: "{id}"}           # what is in a piece of work',
        "poll_interval_s: 1             # how often it looks for work",
    ]
    lines += [f"# llm.endpoint: {found.ports[port]} names port {port}" for port in found.ports]
    if found.plain_logs or found.logs:
        logs = ", ".join([*found.plain_logs, *found.logs][:5])
        lines += [f"paths: {{logs: [{logs}]}}"]
    for log, fields in list(found.logs.items())[:2]:
        lines += [
            "# records:                    # what its log claims (fields seen: "
            f"{', '.join(fields[:8])})",
            "#   decisions:",
            "#     sql: |",
            "#       select FIELD as request, FIELD as status, FIELD as ended_at",
            f"#       from jsonl('{log}')",
        ]
    for record, document in found.documents.items():
        lines += [
            f"#   {record}:                  # below records: what {document} seems to be",
            f"#     sql: select {_COLUMNS[record]} from json('{document}')",
        ]
    lines += [
        "not_applicable:",
        '  "*": a first target; what it does not say is left out',
    ]
    return "\n".join(lines) + "\n"
