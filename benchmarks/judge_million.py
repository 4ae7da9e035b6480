"""`chaos check` on a very long run, beside the plan's own shell pipeline over the same files.

The run is made up here and healthy: N decisions (each request archived) and N samples. `lean`
decisions are as short as the plan's, `full` ones have LLM calls and effects, as the reference
Watcher writes them. The pipeline is that of the plan's post-test steps: counting with grep, the
duplicate check in Python, errors in the log, the archive listed, and memory at first, at last and
at its peak with awk. Both read files that are in the page cache. A process's peak memory is the
kernel's own count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.figures import Figure, parser, show
from chaos.rundir import RunDir

_REPO = Path(__file__).resolve().parents[1]
_EPOCH_S = 1_767_225_600.0
_STEP_S = 0.5
_SOURCE = "soak_test_B"
_RSS_MAX_MB = 300.0
_LINKS_MAX = 60_000  # of one file: file systems have limits
_CRITERIA: dict[str, Any] = {
    "completed_cycles": {"min": 5},
    "selfplay_dispatches": {"min": 1},
    "heuristic_fallbacks": {},
    "memory_growth": {},
    "errors": {},
    "request_queue": {},
    "requests_archived": {"count": 5},
    "requests_pending": {},
    "decision_log": {"count": 5},
    "exactly_once": {},
    "recovery_time": {},
    "file_descriptors": {},
    "resource_growth": {},
    "disk_growth": {"limit_mb": 2000},
    "log_growth": {},
    "gpu_memory": {},
    "llm_slots": {},
    "stall": {},
    "halt": {},
}
_PIPELINE = """
cd "$RUN/artefacts"
ls watcher_requests/archive/ | wc -l
ls watcher_requests/*.json 2>/dev/null | wc -l
grep -c "$SOURCE" watcher_decisions.jsonl
grep "$SOURCE" watcher_decisions.jsonl | python3 -c "
import sys, json
seen = set()
dupes = 0
for line in sys.stdin:
    try:
        seq = json.loads(line).get('sequence_number', 'unknown')
        if seq in seen:
            dupes += 1
        seen.add(seq)
    except: pass
print(f'Unique: {len(seen)} | Duplicates: {dupes}')
"
grep -c "COMPLETED\\|completed" watcher_decisions.jsonl
grep -c "dispatch_selfplay" watcher_decisions.jsonl
grep -c "dispatch_learning" watcher_decisions.jsonl
grep -c "heuristic" watcher_decisions.jsonl
grep -ci "error\\|exception\\|traceback" logs/watcher_agent.log
tail -50 logs/watcher_agent.log | grep -ci "error\\|exception\\|traceback"
grep -o '"watcher.rss_anon_bytes":[0-9]*' ../history.jsonl |
  awk -F: 'NR == 1 {a = $2} {b = $2; if ($2 > m) m = $2} END {print a, b, m}'
grep -o '"watcher.fds":[0-9]*' ../history.jsonl | awk -F: '{if ($2 > m) m = $2} END {print m}'
true
"""


def main(argv: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--size", type=int, default=1_000_000, help="decisions, and samples")
    made.add_argument("--lines", choices=("lean", "full"), default="lean")
    made.add_argument("--folder", type=Path, default=None, help="where the run is made (memory)")
    options = made.parse_args(argv)
    folder = options.folder or (Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    with tempfile.TemporaryDirectory(prefix="chaos-million-", dir=folder) as made_in:
        run = RunDir(Path(made_in) / "run")
        _make(run, options.size, full=options.lines == "full")
        sizes_mb = [
            path.stat().st_size / 1e6
            for path in (run.artefacts / "watcher_decisions.jsonl", run.history)
        ]
        shell = _measured(["bash", "-c", _PIPELINE], {"RUN": str(run.path), "SOURCE": _SOURCE})
        check = [sys.executable, "-m", "chaos", "check", str(run.path)]
        ours = _measured(check, {"PYTHONPATH": str(_REPO), "NO_COLOR": "1"})
        verdict = json.loads(run.verdict.read_text(encoding="utf-8"))
    if verdict["verdict"] != "pass":
        bad = [f["check"] + ": " + f["summary"] for f in verdict["findings"]]
        raise RuntimeError(f"the run should pass: {verdict['reason']}\n" + "\n".join(bad))
    figures = [
        Figure("chaos check, wall", ours[0], "s"),
        Figure("chaos check, CPU", ours[1], "s"),
        Figure("chaos check, peak memory", ours[2], "MB", _RSS_MAX_MB),
        Figure("the plan's pipeline, wall", shell[0], "s"),
        Figure("the plan's pipeline, CPU", shell[1], "s"),
        Figure("the plan's pipeline, peak memory", shell[2], "MB"),
        Figure("chaos / pipeline, wall", ours[0] / shell[0], "times", 1.0),
        Figure("chaos / pipeline, CPU", ours[1] / shell[1], "times", 1.0),
    ]
    notes = (
        f"{options.size} {options.lines} decisions ({sizes_mb[0]:.0f} MB), "
        f"as many samples ({sizes_mb[1]:.0f} MB), {len(verdict['findings'])} findings"
    )
    show("judge_million", figures, as_json=options.json, notes=notes)


def _measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """(wall s, CPU s, peak MB of its largest process) of `command` and all that it starts."""
    start_s = time.monotonic()
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {output.decode(errors='replace')[-2000:]}")
    took_s = time.monotonic() - start_s
    return took_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def _make(run: RunDir, size: int, *, full: bool) -> None:
    for folder in (run.path, run.logs, run.artefacts / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    run.write_json(run.config, _config(full=full))
    run.write_json(run.schedule, {"seed": 1, "hash": "", "items": []})
    _make_history(run, size)
    with (run.artefacts / "watcher_decisions.jsonl").open("w", encoding="utf-8") as log:
        for number in range(1, size + 1):
            log.write(_decision(number, full=full))
    _make_archive(run.artefacts / "watcher_requests", size)
    lines = "".join(f"{_stamp(i)} INFO request {i} archived\n" for i in range(min(size, 100_000)))
    (run.artefacts / "logs" / "watcher_agent.log").write_text(lines, encoding="utf-8")
    (run.logs / "watcher.log").write_text("started\nstopped\n", encoding="utf-8")


def _config(*, full: bool) -> dict[str, Any]:
    soak = _plain(_REPO / "experiments" / "soak_c.yaml")
    target = _plain(_REPO / "experiments" / "targets" / "reference.yaml")
    if not full:
        target["decisions"] |= {"calls": "", "call": None}
    return {
        "soak": "soak_c",
        "title": "A very long run",
        "profile_name": "million",
        "profile": soak["profiles"]["full"] | {"sample_period_s": _STEP_S},
        "target": target,
        "criteria": _CRITERIA,
        "seed": 1,
    }


def _plain(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _make_history(run: RunDir, size: int) -> None:
    end_s = 10 + size * _STEP_S
    head = [
        {"kind": "header", "t_s": 0.0, "run_id": "million", "wall_epoch_s": _EPOCH_S, "schema": 1},
        *({"kind": "phase", "t_s": t_s, "name": name} for t_s, name in _before_samples()),
        _event(9.0, "ready", took_s=1.0),
        {"kind": "phase", "t_s": 10.0, "name": "baseline"},
        {"kind": "phase", "t_s": 10.0, "name": "storm"},
    ]
    tail = [
        {"kind": "phase", "t_s": end_s, "name": "quiet"},
        _event(end_s, "drained", pending=0, took_s=0.1, in_time=True),
        {"kind": "phase", "t_s": end_s, "name": "halt"},
        _event(end_s + 1, "halted", took_s=0.5, exit_code=0, killed=False, flag_seen=True),
        {"kind": "phase", "t_s": end_s + 1, "name": "collect"},
        _event(end_s + 2, "cleanup", complete=True, left=[]),
        _event(end_s + 2, "stopped", reason="complete", message=""),
        {"kind": "phase", "t_s": end_s + 2, "name": "end"},
    ]
    with run.history.open("w", encoding="utf-8") as history:
        history.writelines(json.dumps(record) + "\n" for record in head)
        history.writelines(_sample(number) for number in range(size))
        history.writelines(json.dumps(record) + "\n" for record in tail)


def _before_samples() -> list[tuple[float, str]]:
    return [(0.1, "preflight"), (0.2, "provision")]


def _event(t_s: float, name: str, **detail: Any) -> dict[str, Any]:
    owner = "product" if name == "halted" else "harness"
    return {"kind": "event", "t_s": t_s, "name": name, "owner": owner, "detail": detail}


def _sample(number: int) -> str:
    """A line as the sampler writes it; memory and descriptors with some noise."""
    noise = number * 2654435761 % 997
    values = (
        f'"watcher.pid":41,"watcher.rss_anon_bytes":{(18_000_000 + noise * 500) // 4096 * 4096},'
        f'"watcher.swap_bytes":0,"watcher.threads":1,"watcher.cpu_s":{number / 100:.2f},'
        f'"watcher.children":{noise % 2},"watcher.fds":{6 + noise % 3},"watcher.zombies":0,'
        f'"watcher.sockets_established":{noise % 2},"watcher.sockets_close_wait":0,'
        f'"watcher.sockets_other":0,"workspace.temp_files":{noise % 2},"llm.pid":23,'
        f'"llm.health":"ok","llm.requests_processing":{noise % 2},"llm.requests_deferred":0,'
        f'"queue.pending":1,"queue.claimed":{noise % 2},"queue.archived":{number},'
        f'"queue.quarantined":0,"decisions.lines":{number},"decisions.completed":{number},'
        f'"decisions.fallbacks":0,"draws.count":5000,"log.bytes":{105 + number * 3},'
        f'"log.errors":0,"log.tracebacks":0,"disk.workspace_used_bytes":{(15_000 + number) * 1024},'
        f'"disk.workspace_free_bytes":253042688,"host.load1":2.93,'
        f'"host.mem_available_bytes":24099049472,"harness.rss_bytes":46297088,'
        f'"harness.cpu_s":{number / 1000:.6f}'
    )
    return f'{{"kind":"sample","values":{{{values}}},"t_s":{10 + number * _STEP_S:.6f}}}\n'


def _stamp(number: int, part: float = 0.0) -> str:
    moment = datetime.fromtimestamp(_EPOCH_S + 10 + (number + part) * _STEP_S, UTC)
    return moment.isoformat(timespec="microseconds")


def _decision(number: int, *, full: bool) -> str:
    line = (
        f'{{"decision_id":"d{number:07d}","sequence_number":{number},"source":"{_SOURCE}",'
        f'"request_file":"soak_B_{number:07d}.json",'
        f'"dispatch":"dispatch_{"selfplay" if number % 3 else "learning"}","status":"COMPLETED",'
        f'"started_at":"{_stamp(number - 1)}","timestamp":"{_stamp(number, -0.1)}"'
    )
    if full:
        call = (
            f'{{"question":"plan","answer":{{"effort":"light"}},"started_at":"{_stamp(number)}",'
            f'"ended_at":"{_stamp(number, 0.4)}","attempts":1,"outcome":"ok"}}'
        )
        line += (
            f',"request_type":"selfplay","decided_by":"llm","llm_calls":[{call},{call}],'
            f'"effects":{{"child_pid":{number},"child_exit":0,"artefacts":'
            f'{{"policy_history/cand_{number:07d}.json":"{"0123456789abcdef" * 4}"}}}},'
            f'"duration_s":5.268,"lifecycle":{{"stop":{{"ok":true,"took_s":0.078}},'
            f'"start":{{"ok":true,"took_s":2.332}}}}'
        )
    return line + "}\n"


def _make_archive(queue: Path, size: int) -> None:
    """One name per request; many names share one (empty) file."""
    archive = queue / "archive"
    archive.mkdir(parents=True)
    first = archive
    for number in range(1, size + 1):
        path = archive / f"soak_B_{number:07d}.json"
        if number % _LINKS_MAX == 1 or size < 2:
            path.touch()
            first = path
        else:
            path.hardlink_to(first)


if __name__ == "__main__":
    main()
