"""Builds run directories by hand: healthy by default, to be spoiled before `write`.

Stands for a real run of soak C, profile quick: a Watcher that takes requests one after the other,
falls back while the LLM is cut (two faults of 14 s), and recovers. Everything is computed from one
time line, so that the files agree with the history as they do in a real run. Records and files
are plain data; a test plants a defect by changing them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

from chaos.checks.finding import Finding
from chaos.checks.generators import first_draws
from chaos.checks.registry import check_named
from chaos.checks.verdict import Verdict
from chaos.record.agreement import content_hash
from chaos.record.open_run import OpenRun
from chaos.record.rundir import RunDir
from chaos.runner.judge import findings_of, verdict_of

REPO = Path(__file__).resolve().parents[2]
EPOCH_S = 1_767_225_600.0
BASELINE_S, STORM_S, QUIET_S, INJECTOR_STOP_S, HALT_S = 2.2, 27.2, 112.2, 142.3, 145.0
FAULTS = ((40.0, 54.0), (75.0, 89.0))
PERIOD_S = 0.25
BOOTSTRAP = 5000
DRAW_INTERVAL_S = 3.0
LLM_LIMIT_S = 3.0

Record = dict[str, Any]
_draws = cache(first_draws)


def iso(t_s: float) -> str:
    """Run time as the Watcher writes it."""
    return datetime.fromtimestamp(EPOCH_S + t_s, UTC).isoformat(timespec="microseconds")


@cache
def _yaml(path: str) -> Any:
    return yaml.safe_load((REPO / "experiments" / path).read_text(encoding="utf-8"))


# They judge the same defects a second time, or need what only a real run has (a GPU);
# test_plan_checks.py plants their defects one by one.
_TWINS = ("decision_log", "gpu_memory", "routing", "file_descriptors", "resource_growth")


class PlantedRun:
    """A run directory in the making. `cuts` are the (injected, recovered) times of the faults."""

    def __init__(self, path: Path, *, cuts: tuple[tuple[float, float], ...] = FAULTS) -> None:
        self.run = RunDir(path)
        self.cuts = cuts
        self.config = self._config()
        self.schedule: dict[str, Any] = {"seed": 7, "hash": "0123456789abcdef", "items": []}
        self.records: list[Record] = []
        self.decisions: list[dict[str, Any]] = []
        self.llm_events: list[dict[str, Any]] = []
        self.diagnostics: dict[str, dict[str, Any]] = {}
        self.draws: list[dict[str, Any]] = []
        self.folders: dict[str, list[str]] = {k: [] for k in ("", "claimed", "archive")}
        self.folders["quarantine"] = []
        self.candidates: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str | bytes] = {}  # below the run directory; written last
        self.rss_mb: Callable[[float, int], float] = _flat_memory()
        self.gpu_mb: Callable[[float], float] | None = None
        self.signals: dict[str, Callable[[float, int], float]] = _quiet_signals()
        self.collected = True
        self.agrees = True  # schedule and config are made to fit each other when written
        self.torn_history = False
        self._live()

    # -- the time line ------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        soak = copy.deepcopy(_yaml("soak_c.yaml"))
        profile = soak["profiles"]["quick"]
        faults = [{"name": "llm_timeout", "params": {"hold": 14.0, "count": 2}, "control": False}]
        none = [{"name": "none", "params": {}, "control": True}]
        return {
            "soak": "soak_c",
            "title": soak["title"],
            "workload": soak["workload"],
            "profile_name": "quick",
            "profile": profile,
            "target": copy.deepcopy(_yaml("targets/reference.yaml")),
            "criteria": {k: v for k, v in soak["criteria"].items() if k not in _TWINS},
            "faults": faults if self.cuts else none,
            "seed": 7,
            "reproduce": "chaos run soak_c --profile quick --fault llm_timeout:count=2 --seed 7",
        }

    def _live(self) -> None:
        self._add(0.0, "header", run_id="soak_c-planted", wall_epoch_s=EPOCH_S, schema=1)
        phases = {"preflight": 0.1, "provision": 0.2, "baseline": BASELINE_S, "storm": STORM_S}
        phases |= {"quiet": QUIET_S, "halt": HALT_S, "collect": 146.0, "end": 147.0}
        for name, t_s in phases.items():
            self._add(t_s, "phase", name=name)
        self.add_event(2.1, "ready", took_s=1.4, services={"watcher": 20})
        before = {"draws": BOOTSTRAP, "policy_candidates": [], "decisions": 0, "archived": 0}
        self.add_event(2.25, "baseline_files", **before)
        self.add_event(2.3, "injector_started", interval_s=DRAW_INTERVAL_S)
        self.add_event(INJECTOR_STOP_S, "injector_stopped", exit_code=0)
        self.add_event(144.0, "drained", pending=0, took_s=1.7, in_time=True)
        halted = {"took_s": 0.4, "exit_code": 0, "killed": False, "flag_seen": True}
        self.add_event(145.5, "halted", owner="product", **halted)
        self.add_event(146.8, "cleanup", complete=True, left=[])
        self.add_event(146.9, "stopped", reason="complete", message="")
        self._make_faults()
        self._make_draws()
        self._make_decisions()

    def _make_faults(self) -> None:
        for number, (start_s, end_s) in enumerate(self.cuts, start=1):
            fault_id = f"f{number:03d}"
            self.schedule["items"].append({"fault_id": fault_id, "name": "llm_timeout"})
            answered = {"outcome": "answered", "status": 200, "took_ms": 2.5}
            timeout = {"outcome": "timeout", "status": None, "took_ms": 1001.4}
            during = {"direct_before": answered, "through_proxy": timeout, "direct_after": answered}
            after = {"direct_before": answered, "through_proxy": answered, "direct_after": answered}
            traits = {"group": "llm_tcp", "affects_llm": True, "ends": []}
            undo = {"toxic": f"chaos_{fault_id}", "proxy": "127.0.0.1:8080"}
            states: dict[str, tuple[float, dict[str, Any]]] = {
                "armed": (start_s - 1.0, {"undo": undo, "traits": traits}),
                "injected": (start_s, {"late_ms": 0.4, "took_ms": 3.1}),
                "effect_proven": (start_s + 1.1, {"attempts": 1, **during, "cuts_llm": True}),
                "recovering": (end_s - 0.2, {}),
                "recovered": (end_s, {"attempts": 1, "undone": True, **after}),
                "closed": (end_s + 0.01, {"why": "recovery proven"}),
            }
            for state, (t_s, evidence) in states.items():
                self.add_fault(t_s, fault_id, state, evidence)

    def _make_draws(self) -> None:
        injected = int((INJECTOR_STOP_S - 2.3) / DRAW_INTERVAL_S)
        for index, value in enumerate(_draws(12345, 1000, BOOTSTRAP + injected)):
            source = "synthetic_bootstrap" if index < BOOTSTRAP else "synthetic_injector"
            self.draws.append({"value": value, "draw_source": source})
        for index in range(injected):
            name = f"diag_{BOOTSTRAP + index:06d}.json"
            seen_s = 2.3 + (index + 1) * DRAW_INTERVAL_S
            self.diagnostics[name] = {
                "draw_index": BOOTSTRAP + index,
                "timestamp": iso(seen_s),
                "requests": [],
            }

    def _make_decisions(self) -> None:
        waiting: list[tuple[float, str, str, str]] = []
        for index in range(0, len(self.diagnostics), 2):
            kind = "learning_loop" if index % 4 == 0 else "selfplay"
            name = f"ch13_{BOOTSTRAP + index:06d}_{kind}.json"
            self.diagnostics[f"diag_{BOOTSTRAP + index:06d}.json"]["requests"].append(name)
            waiting.append((2.3 + (index + 1) * DRAW_INTERVAL_S, name, kind, "chapter13_trigger"))
        number = 0
        for fault, (start_s, end_s) in enumerate(self.cuts, start=1):
            for t_s, when in ((start_s + 0.01, "during"), (end_s + 0.01, "after")):
                number += 1
                name = f"probe_{number:04d}.json"
                waiting.append((t_s, name, "selfplay", "soak_probe"))
                detail = {"purpose": f"{when} f{fault:03d}", "sequence": number}
                self._add(t_s, "op", op="submit", id=name, outcome="ok", detail=detail)
        free_s = BASELINE_S
        self._server(2.0, "start")
        for count, (asked_s, name, kind, source) in enumerate(sorted(waiting), start=1):
            free_s = self._decide(max(asked_s + 0.1, free_s + 0.05), name, kind, source, count)
        assert free_s < HALT_S, "the time line does not fit"

    def _decide(self, start_s: float, name: str, kind: str, source: str, count: int) -> float:
        calls = [self._call(start_s + 0.02, "plan")]
        t_s = calls[0].pop("_end")
        self._server(t_s + 0.1, "stop")
        self._server(t_s + 0.2, "gone")
        self._server(t_s + 0.7, "start")
        self._server(t_s + 1.1, "ready")
        calls.append(self._call(t_s + 1.2, "evaluation"))
        end_s: float = calls[1].pop("_end") + 0.05
        dispatch = "dispatch_learning" if kind == "learning_loop" else "dispatch_selfplay"
        fell_back = any(call["outcome"] == "failed" for call in calls)
        decision: dict[str, Any] = {
            "decision_id": f"d{count:06d}",
            "sequence_number": count,
            "source": source,
            "request_file": name,
            "dispatch": dispatch,
            "status": "COMPLETED",
            "started_at": iso(start_s),
            "timestamp": iso(end_s),
            "decided_by": "heuristic" if fell_back else "llm",
            "llm_calls": calls,
            "effects": {"child_pid": 1000 + count, "child_exit": 0, "artefacts": {}},
        }
        if fell_back:
            decision["heuristic_fallback"] = True
        self.decisions.append(decision)
        self.folders["archive"].append(name)
        if kind == "selfplay":
            made = f"c_{count:03d}.json"
            self.candidates[made] = {"candidate_id": f"c_{count:03d}"}
            digest = _sha256(self.candidates[made])
            decision["effects"]["artefacts"][f"policy_history/{made}"] = digest
        else:
            self._learn(end_s)
        return end_s

    def _call(self, start_s: float, question: str) -> dict[str, Any]:
        end_s = start_s + 0.3
        cut = any(start_s <= b and end_s >= a for a, b in self.cuts)
        if cut:
            end_s = start_s + LLM_LIMIT_S
        return {
            "question": question,
            "started_at": iso(start_s),
            "ended_at": iso(end_s),
            "outcome": "failed" if cut else "ok",
            "answer": None if cut else {"answer": f"{question} yes"},
            "_end": end_s,
        }

    def _server(self, t_s: float, event: str) -> None:
        starts = sum(e["event"] == "start" for e in self.llm_events) + (event == "start")
        entry = {"time_s": EPOCH_S + t_s, "event": event, "pid": 100 + starts}
        self.llm_events.append(entry | {"generation": starts})

    def _learn(self, t_s: float) -> None:
        """A new pool, more of it right each time, and a new model in the telemetry."""
        models = len(self.artefacts("prediction_pool.json"))
        history = BOOTSTRAP + int((t_s - 2.3) / DRAW_INTERVAL_S)
        truth = _draws(12345, 1000, BOOTSTRAP + 100)
        right = min(10, models + 1)
        pool = [
            {"draw_index": i, "values": [truth[i]] if i - history < right else [1000]}
            for i in range(history, history + 10)
        ]
        self.add_artefact(t_s, "prediction_pool.json", {"predictions": pool})
        telemetry = {"total_models": models + 1, "timestamp": iso(t_s)}
        self.add_artefact(t_s, "telemetry/learning_health_latest.json", telemetry)
        self.files["artefacts/telemetry/learning_health_latest.json"] = json.dumps(telemetry)

    # -- to plant with ------------------------------------------------------------------------

    def _add(self, t_s: float, kind: str, **fields: Any) -> Record:
        record = {"kind": kind, "t_s": round(t_s, 6), **fields}
        self.records.append(record)
        return record

    def add_event(self, t_s: float, name: str, **fields: Any) -> Record:
        """An event; `owner` and `severity` may be among `fields`, the rest is its detail."""
        known = {key: fields.pop(key) for key in ("owner", "severity") if key in fields}
        return self._add(t_s, "event", name=name, detail=fields, **known)

    def add_fault(self, t_s: float, fault_id: str, state: str, evidence: dict[str, Any]) -> None:
        """A record of a fault."""
        base = {"fault_id": fault_id, "name": "llm_timeout", "state": state, "scheduled_s": t_s}
        self._add(t_s, "fault", **base, evidence=evidence)

    def add_artefact(self, t_s: float, path: str, content: Any, **more: Any) -> Record:
        """A version of a watched file."""
        return self.add_event(
            t_s, "artefact", path=path, sha256=_sha256(content), content=content, **more
        )

    def event(self, name: str) -> Record:
        """The (last) event called `name`, to be changed."""
        return [r for r in self.records if r["kind"] == "event" and r["name"] == name][-1]

    def artefacts(self, path: str) -> list[Record]:
        """All versions of a watched file, to be changed."""
        return [r for r in self.records if r.get("detail", {}).get("path") == path]

    def ask_only(self, *criteria: str) -> PlantedRun:
        """Ask for these criteria alone, to be judged sooner; returns itself."""
        self.config["criteria"] = {name: self.config["criteria"][name] for name in criteria}
        return self

    def drop(self, **fields: Any) -> None:
        """Remove all records that have `fields`."""
        self.records = [
            r for r in self.records if any(r.get(key) != value for key, value in fields.items())
        ]

    def cut_off(self, t_s: float) -> None:
        """As if the harness had been killed at `t_s`: no later record, nothing collected."""
        self.records = [r for r in self.records if r["t_s"] <= t_s]
        self.collected = False

    def first_outside(self) -> dict[str, Any]:
        """The first decision made while the LLM was there (and not asked for by a probe)."""
        return next(d for d in self.decisions if "heuristic_fallback" not in d)

    def first_fallback(self) -> dict[str, Any]:
        """The first decision made while the LLM was cut."""
        return next(d for d in self.decisions if "heuristic_fallback" in d)

    # -- writing ------------------------------------------------------------------------------

    def write(self) -> RunDir:
        """Write everything; returns the run directory."""
        for folder in (self.run.path, self.run.logs, self.run.artefacts):
            folder.mkdir(parents=True, exist_ok=True)
        if self.agrees:
            self._agree()
        self.run.write_json(self.run.config, self.config)
        self.run.write_json(self.run.schedule, self.schedule)
        end_s = max((r["t_s"] for r in self.records), default=0.0)
        records = self.records + [r for r in self._samples() if r["t_s"] <= end_s]
        text = msgspec.json.Encoder().encode_lines(sorted(records, key=lambda r: r["t_s"]))
        self.run.history.write_bytes(text + (b'{"kind":"ev' if self.torn_history else b""))
        self.files.setdefault("logs/watcher.log", "started\nstopped\n")
        if self.collected:
            self._write_workspace()
        for path, content in self.files.items():
            if self.collected or not path.startswith("artefacts/"):
                self._write(path, content)
        return self.run

    def _agree(self) -> None:
        """The config asks for what is scheduled, and the schedule has its hash."""
        names = dict.fromkeys(item["name"] for item in self.schedule["items"])
        asked = [{"name": name, "params": {}, "control": False} for name in names]
        self.config["faults"] = asked or [{"name": "none", "params": {}, "control": True}]
        self.schedule["hash"] = content_hash(self.schedule)

    def _samples(self) -> list[Record]:
        ends = sorted(_t_s(d["timestamp"]) for d in self.decisions if d["status"] == "COMPLETED")
        spans = [(_t_s(d["started_at"]), _t_s(d["timestamp"])) for d in self.decisions]
        child_ends = sorted(end for _, end in spans)
        records = []
        for tick in range(int((HALT_S - BASELINE_S) / PERIOD_S)):
            t_s = round(BASELINE_S + tick * PERIOD_S, 6)
            done = bisect_right(ends, t_s)
            values = {
                "watcher.pid": 20,
                "watcher.rss_anon_bytes": int(self.rss_mb(t_s, done) * 1e6),
                "watcher.swap_bytes": 0,
                "decisions.lines": done,
                "decisions.completed": done,
                "queue.pending": 1,
                "queue.claimed": 0,
                "watcher.children": int(any(a <= t_s <= b for a, b in spans)),
                "watcher.children_faults": 5000 * bisect_right(child_ends, t_s),
            }
            values |= {key: signal(t_s, done) for key, signal in self.signals.items()}
            if self.gpu_mb is not None:
                values["gpu0.used_bytes"] = int(self.gpu_mb(t_s) * 1e6)
            records.append({"kind": "sample", "t_s": t_s, "values": values})
        return records

    def _write_workspace(self) -> None:
        log = "".join(json.dumps(d) + "\n" for d in self.decisions)
        self.files.setdefault("artefacts/watcher_decisions.jsonl", log)
        events = "".join(json.dumps(e) + "\n" for e in self.llm_events)
        self.files.setdefault("artefacts/logs/llm_events.jsonl", events)
        history = msgspec.json.encode({"draws": self.draws})
        self.files.setdefault("artefacts/lottery_history.json", history)
        self.files.setdefault("artefacts/logs/watcher_agent.log", "INFO ready\nINFO done\n")
        for folder, names in self.folders.items():
            for name in names:
                kind = "learning_loop" if "learning" in name else "selfplay"
                content = json.dumps({"request_type": kind, "of": name})
                self._write(f"artefacts/watcher_requests/{folder}/{name}", content)
        for name, content in self.diagnostics.items():
            self._write(f"artefacts/diagnostics_history/{name}", json.dumps(content))
        for name, content in self.candidates.items():
            self._write(f"artefacts/policy_history/{name}", json.dumps(content))

    def _write(self, path: str, content: str | bytes) -> None:
        full = self.run.path / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(content.encode() if isinstance(content, str) else content)


def _t_s(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() - EPOCH_S


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _injected(t_s: float) -> int:
    """How many draws the injector has made by then."""
    return int(max(0.0, min(t_s, INJECTOR_STOP_S) - 2.3) / DRAW_INTERVAL_S)


def _quiet_signals() -> dict[str, Callable[[float, int], float]]:
    """Signals of a healthy run: short-lived things come and go, nothing stays."""
    return {
        "draws.count": lambda t_s, done: BOOTSTRAP + _injected(t_s),
        "watcher.fds": lambda t_s, done: 6 + int(t_s * 4) % 3,
        "watcher.threads": lambda t_s, done: 1,
        "watcher.zombies": lambda t_s, done: 0,
        "watcher.sockets_established": lambda t_s, done: int(t_s) % 2,
        "watcher.sockets_close_wait": lambda t_s, done: 0,
        "watcher.sockets_other": lambda t_s, done: 0,
        "workspace.temp_files": lambda t_s, done: int(t_s * 4) % 2,
        "llm.requests_processing": lambda t_s, done: int(t_s) % 2,
        "llm.requests_deferred": lambda t_s, done: 0,
        "log.bytes": lambda t_s, done: 100 + 200 * done,
        "disk.workspace_used_bytes": lambda t_s, done: 15_000_000 + 4096 * done,
    }


def _flat_memory() -> Callable[[float, int], float]:
    noise = random.Random(1)
    return lambda t_s, done: 40.0 + noise.uniform(0.0, 0.3)


def judged(run: PlantedRun) -> Verdict:
    """Write it, and judge it by all its criteria; no report is made."""
    with OpenRun(run.write()) as opened:
        return verdict_of(opened)


def not_passed(verdict: Verdict) -> dict[str, str]:
    """check -> outcome of everything that is not a pass."""
    return {f.check: f.outcome for f in verdict.findings if f.outcome != "pass"}


def finding(verdict: Verdict, check: str) -> Finding:
    """The first finding of `check` that is not a pass, else its first one."""
    return _worst([f for f in verdict.findings if f.check == check])


def judged_by(run: PlantedRun, check: str) -> Finding:
    """Write it, and judge it by this criterion alone; the finding is that of `finding`."""
    values = run.config["criteria"].get(check, {})
    with OpenRun(run.write()) as opened:
        return _worst(findings_of(opened, check_named(check), values))


def _worst(findings: list[Finding]) -> Finding:
    return next((f for f in findings if f.outcome != "pass"), findings[0])
