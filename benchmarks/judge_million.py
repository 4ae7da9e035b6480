"""`chaos check` on a very long run, beside the plan's own shell pipeline over the same files.

The run is made up here and healthy: N decisions and N samples, judged by every criterion of soak C
and those of soak B that it lacks. Each decision has its archived request and its stop and start of
the LLM server, each selfplay its policy candidate; a draw triggers 20 requests, and every 1000th
request is a learning loop with a new prediction pool and new telemetry. `lean` decisions are as
short as the plan's, `full` ones have LLM calls and effects, as the reference Watcher writes them.

The pipeline is that of the plan's post-test steps: counting with grep, the duplicate check in
Python, errors in the log, archive and candidates listed, draws, telemetry and pool read, and memory
at first, at last and at its peak with awk. Both read files that are in the page cache. A process's
peak memory is the kernel's own count.
"""

from __future__ import annotations

import hashlib
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
from chaos.checks.generators import first_draws
from chaos.record.agreement import content_hash
from chaos.record.record_sql import columns_of
from chaos.record.rundir import RunDir

_REPO = Path(__file__).resolve().parents[1]
_EPOCH_S = 1_767_225_600.0
_STEP_S = 0.5
_SOURCE = "soak_test_B"
_RSS_MAX_MB = 300.0
_LINKS_MAX = 60_000  # of one file: file systems have limits
_PER_DRAW = 20  # requests that one draw triggers
_LEARNING_EVERY = 1000
_POOL = 10  # predictions
_BOOTSTRAP = 5000
_DRAW_S = _STEP_S * _PER_DRAW
_BEGIN_S = 10.0
# Those of soak B that soak C does not have, with what this run makes them mean.
_CRITERIA: dict[str, Any] = {
    "requests_archived": {"count": 5},
    "requests_pending": {},
    "decision_log": {"count": 5},
    "disk_growth": {"limit_mb": 2000},
    "memory_growth": {},
    "log_growth": {},
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
ls policy_history/ | wc -l
python3 -c "import json; print(len(json.load(open('lottery_history.json'))['draws']))"
python3 -c "import json; print(len(json.load(open('prediction_pool.json'))['predictions']))"
python3 -c "import json; print(json.load(open('telemetry/learning_health_latest.json')))"
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
        bad = [
            f"{found['check']}: {found['outcome']}: {found['summary']}"
            for found in verdict["findings"]
            if found["outcome"] not in ("pass", "skipped")
        ]
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
        raise RuntimeError(f"{command[0]} failed: {output.decode(errors='replace')[-6000:]}")
    took_s = time.monotonic() - start_s
    return took_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def _make(run: RunDir, size: int, *, full: bool) -> None:
    for folder in (run.path, run.logs, run.artefacts / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    run.write_json(run.config, _config(full=full))
    schedule = {"seed": 1, "items": []}
    run.write_json(run.schedule, {**schedule, "hash": content_hash(schedule)})
    draws = size // _PER_DRAW
    truth = first_draws(12345, 1000, _BOOTSTRAP + draws + _POOL)
    learned = [_Learned(n, truth, n / size) for n in range(1, size + 1) if _learns(n)]
    _make_history(run, size, learned)
    with (run.artefacts / "watcher_decisions.jsonl").open("w", encoding="utf-8") as log:
        for number in range(1, size + 1):
            log.write(_decision(number, full=full))
    with (run.artefacts / "logs" / "llm_events.jsonl").open("w", encoding="utf-8") as record:
        record.write(_server(0, -0.5, "start", 0))
        record.writelines(_restart(number) for number in range(1, size + 1))
    _make_archive(run.artefacts / "watcher_requests", size)
    _make_candidates(run.artefacts / "policy_history", size)
    _make_draws(run.artefacts, truth[: _BOOTSTRAP + draws], size)
    for path, content in learned[-1].files.items():
        (run.artefacts / path).parent.mkdir(exist_ok=True)
        (run.artefacts / path).write_text(json.dumps(content), encoding="utf-8")
    lines = "".join(f"{_stamp(i)} INFO request {i} archived\n" for i in range(min(size, 100_000)))
    (run.artefacts / "logs" / "watcher_agent.log").write_text(lines, encoding="utf-8")
    (run.logs / "watcher.log").write_text("started\nstopped\n", encoding="utf-8")


def _config(*, full: bool) -> dict[str, Any]:
    soak = _plain(_REPO / "experiments" / "soak_c.yaml")
    target = _plain(_REPO / "experiments" / "targets" / "reference.yaml")
    if not full:
        record = target["records"]["decisions"]
        kept = columns_of(record["sql"]) - {"child_pid", "child_exit", "written"}
        record["sql"] = f"select {', '.join(sorted(kept))} from ({record['sql']})"
        target["records"]["calls"] = None
    return {
        "soak": "soak_c",
        "title": "A very long run",
        "profile_name": "million",
        "profile": soak["profiles"]["full"]
        | {"sample_period_s": _STEP_S, "settings": {"draw_interval_s": _DRAW_S}},
        "target": target,
        "faults": [],
        "criteria": soak["criteria"] | _CRITERIA,
        "seed": 1,
    }


def _plain(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _make_history(run: RunDir, size: int, learned: list[_Learned]) -> None:
    end_s = _BEGIN_S + size * _STEP_S
    head = [
        {"kind": "header", "t_s": 0.0, "run_id": "million", "wall_epoch_s": _EPOCH_S, "schema": 1},
        *({"kind": "phase", "t_s": t_s, "name": name} for t_s, name in _before_samples()),
        _event(9.0, "ready", took_s=1.0),
        _event(9.5, "baseline_files", draws=_BOOTSTRAP, policy_candidates=[]),
        {"kind": "phase", "t_s": 10.0, "name": "baseline"},
        {"kind": "phase", "t_s": 10.0, "name": "storm"},
        _event(_BEGIN_S, "injector_started", interval_s=_DRAW_S),
    ]
    tail = [
        _event(end_s, "injector_stopped", exit_code=0),
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
        seen = {one.number: one for one in learned}
        for number in range(size):
            history.write(_sample(number))
            if number + 1 in seen:
                history.writelines(seen[number + 1].versions())
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
        f'"watcher.children":{noise % 2},"watcher.children_faults":{number * 5},'
        f'"watcher.fds":{6 + noise % 3},"watcher.zombies":0,'
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
    moment = datetime.fromtimestamp(_EPOCH_S + _BEGIN_S + (number + part) * _STEP_S, UTC)
    return moment.isoformat(timespec="microseconds")


def _learns(number: int) -> bool:
    return number % _LEARNING_EVERY == 0


def _name(number: int) -> str:
    return f"soak_B_{number:07d}.json"


def _candidate(number: int) -> tuple[str, bytes]:
    """(name of its file, what stands in it)."""
    identity = f"cand_{number:07d}"
    weights = ",".join(f"0.{number * step % 1000:03d}" for step in range(1, 9))
    content = f'{{"candidate_id":"{identity}","episodes":5,"weights":[{weights}]}}'
    return f"{identity}.json", content.encode()


def _decision(number: int, *, full: bool) -> str:
    kind = "learning" if _learns(number) else "selfplay"
    line = (
        f'{{"decision_id":"d{number:07d}","sequence_number":{number},"source":"{_SOURCE}",'
        f'"request_file":"{_name(number)}",'
        f'"dispatch":"dispatch_{kind}","status":"COMPLETED",'
        f'"started_at":"{_stamp(number - 1, 0.05)}","timestamp":"{_stamp(number, -0.1)}"'
    )
    if full:
        asked, said = _call("plan", number - 1, 0.1), _call("evaluation", number - 1, 0.7)
        name, content = _candidate(number)
        digest = hashlib.sha256(content).hexdigest()
        written = "" if _learns(number) else f'"policy_history/{name}":"{digest}"'
        line += (
            f',"request_type":"{kind}","decided_by":"llm","llm_calls":[{asked},{said}],'
            f'"effects":{{"child_pid":{number},"child_exit":0,"artefacts":{{{written}}}}},'
            f'"duration_s":5.268,"lifecycle":{{"stop":{{"ok":true,"took_s":0.078}},'
            f'"start":{{"ok":true,"took_s":2.332}}}}'
        )
    return line + "}\n"


def _call(question: str, number: int, part: float) -> str:
    return (
        f'{{"question":"{question}","answer":{{"effort":"light"}},'
        f'"started_at":"{_stamp(number, part)}","ended_at":"{_stamp(number, part + 0.1)}",'
        f'"attempts":1,"outcome":"ok"}}'
    )


def _server(number: int, part: float, event: str, pid: int) -> str:
    time_s = _EPOCH_S + _BEGIN_S + (number + part) * _STEP_S
    return f'{{"time_s":{time_s:.6f},"event":"{event}","pid":{pid},"generation":{pid}}}\n'


def _restart(number: int) -> str:
    """The LLM server makes way for the work of a decision, and comes back."""
    steps = ((0.3, "stop", -1), (0.35, "gone", -1), (0.5, "start", 0), (0.6, "ready", 0))
    return "".join(_server(number - 1, part, event, number + off) for part, event, off in steps)


class _Learned:
    """What one learning loop leaves: a pool, more and more of it right, and telemetry."""

    def __init__(self, number: int, truth: list[int], part: float) -> None:
        """`part` of the run is over: a run of any size gets better all the way."""
        self.number = number
        first = _BOOTSTRAP + number // _PER_DRAW
        right = round(_POOL * part)
        pool = [
            {"draw_index": first + i, "values": [truth[first + i] if i < right else 1000]}
            for i in range(_POOL)
        ]
        self.files: dict[str, Any] = {
            "prediction_pool.json": {"predictions": pool},
            "telemetry/learning_health_latest.json": {
                "total_models": number // _LEARNING_EVERY,
                "timestamp": _stamp(number, -0.2),
            },
        }

    def versions(self) -> list[str]:
        """As the harness saw them."""
        t_s = _BEGIN_S + (self.number - 0.15) * _STEP_S
        return [
            json.dumps(_event(t_s, "artefact", path=path, sha256=f"{self.number}", content=content))
            + "\n"
            for path, content in self.files.items()
        ]


def _make_archive(queue: Path, size: int) -> None:
    """One name per request; many names of a type share one file."""
    archive = queue / "archive"
    archive.mkdir(parents=True)
    firsts: dict[str, tuple[Path, int]] = {}
    for number in range(1, size + 1):
        path = archive / _name(number)
        kind = "learning_loop" if _learns(number) else "selfplay"
        first, links = firsts.get(kind, (path, _LINKS_MAX))
        if links == _LINKS_MAX:
            request = {"request_type": kind, "source": _SOURCE, "sequence_number": number}
            path.write_text(json.dumps(request), encoding="utf-8")
            firsts[kind] = (path, 1)
        else:
            path.hardlink_to(first)
            firsts[kind] = (first, links + 1)


def _make_candidates(folder: Path, size: int) -> None:
    folder.mkdir()
    for number in range(1, size + 1):
        if not _learns(number):
            name, content = _candidate(number)
            (folder / name).write_bytes(content)


def _make_draws(artefacts: Path, values: list[int], size: int) -> None:
    """The draws, and a diagnosis for each that was injected, with the requests it triggered."""
    draws = [
        {"value": value, "draw_source": "synthetic_bootstrap" if i < _BOOTSTRAP else "synthetic"}
        for i, value in enumerate(values)
    ]
    (artefacts / "lottery_history.json").write_text(json.dumps({"draws": draws}), encoding="utf-8")
    folder = artefacts / "diagnostics_history"
    folder.mkdir()
    for draw in range(len(values) - _BOOTSTRAP):
        index = _BOOTSTRAP + draw  # in the whole history
        first = draw * _PER_DRAW + 1
        named = [_name(number) for number in range(first, min(first + _PER_DRAW, size + 1))]
        content = {"draw_index": index, "timestamp": _stamp(first - 1), "requests": named}
        (folder / f"diag_{draw:06d}.json").write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main()
