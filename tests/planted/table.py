"""The truth table: every planted Watcher, and what must be said of it.

`scripts/truth-table` runs all of them on the real stack; tests/integration/test_planted.py runs
those marked `often` at every change, and the others before a release (`-m long`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
ANY = "*"  # in `twins`: what else this defect breaks is chance

CRASH = "watcher_dispatch_crash:count=1,hold=15s"
REFUSED = "llm_refused:count=1,hold=8s"
# The first strike may meet the Watcher while it waits for the start of its server.
REFUSED_TWICE = "llm_refused:count=2,hold=8s"
TIMEOUT = "llm_timeout:count=1,hold=20s"
FULL = "disk_full:count=1,hold=10s"
CORRUPT = "queue_corruption:count=1"
# As long as the proof of a defect needs; what is not named here takes the brief soak's.
SHORT = {"baseline_s": 3, "storm_s": 18, "quiet_s": 4}
LONG = {"baseline_s": 20, "storm_s": 40}


@dataclass(frozen=True)
class Planted:
    """A Watcher with one defect, or (no `checks`) a healthy one.

    One of `checks` at least must fail, and nothing beside `checks` and `twins`; triage must name
    one of `causes` first. `blind`: known not to be seen.
    """

    name: str
    checks: frozenset[str] = frozenset()
    causes: frozenset[str] = frozenset()
    fault: str = "none"
    twins: frozenset[str] = frozenset()
    soak: str = "soak_c"
    often: bool = False
    blind: bool = False
    length: Mapping[str, Any] = field(default_factory=dict)
    halt_limit_s: float = 0.0  # 0: the target's own

    @property
    def program(self) -> Path:
        """The file that is installed into the workspace."""
        return Path(__file__).with_name(f"{self.name}.py")

    @property
    def says(self) -> str:
        """What is wrong with it, by its own docstring."""
        first = self.program.read_text(encoding="utf-8").split('"""')[1]
        return " ".join(first.removeprefix("Defect: ").removeprefix("Healthy: ").split())

    def target(self, folder: Path) -> Path:
        """The reference profile, with this program in front of its daemon."""
        path = REPO / "experiments" / "targets" / "reference.yaml"
        target = yaml.safe_load(path.read_text(encoding="utf-8"))
        target["target"] = self.name
        target["workspace"]["install"].append({"source": str(self.program), "to": "planted.py"})
        target["watcher"]["start"] = ["{python}", "planted.py", "--daemon"]
        if self.soak == "soak_b":
            target["batch"]["command"] = ["{python}", "planted.py", "--process-requests"]
        if self.halt_limit_s:
            target["halt"]["limit_s"] = self.halt_limit_s
        written = folder / f"{self.name}.yaml"
        written.write_text(yaml.safe_dump(target), encoding="utf-8")
        return written


def _defect(name: str, checks: str, causes: str, twins: str = "", **more: Any) -> Planted:
    words = (frozenset(text.split()) for text in (checks, causes, twins))
    return Planted(name, *(next(words), next(words)), twins=next(words), **more)


DEFECTS = (
    _defect(
        "no_reconnection",
        "recovery_time heuristic_fallbacks",
        "llm_connection_drop",
        fault=TIMEOUT,
    ),
    _defect("leak_per_request", "memory_growth", "memory_leak", length=LONG),
    _defect(
        "duplicate_dispatch",
        "exactly_once",
        "duplicate_work",
        "decision_log fifo llm_lifecycle routing",
        length=SHORT,
        often=True,
    ),
    _defect("ignores_halt", "halt", "halt_ignored", length=SHORT, often=True, halt_limit_s=4),
    _defect(
        "repeats_after_crash",
        "exactly_once",
        "duplicate_work",
        "decision_log heuristic_fallbacks",
        fault=CRASH,
    ),
    _defect(
        "no_lock",
        "single_watcher",
        "no_lock",
        ANY,
        fault="watcher_second:count=1,hold=8s",
        length={"baseline_s": 3, "storm_s": 20, "quiet_s": 4},
    ),
    _defect(
        "second_server",
        "llm_lifecycle",
        "second_server",
        fault="llm_slow_load:count=1,hold=15s",
    ),
    # Learning fails on the policy that is made up.
    _defect(
        "fakes_work",
        "child_witnessed",
        "work_not_done",
        "work_completed routing",
        often=True,
    ),
    _defect(
        "stale_claims",
        "publication_witnessed",
        "work_not_done",
        "routing policy_candidates",
    ),
    _defect("kills_bystander", "bystanders", "bystander_ended"),
    _defect("kills_everything", "bystanders", "bystander_ended", ANY),
    _defect(
        "storms",
        "retry_storm",
        "retry_storm",
        fault=REFUSED_TWICE,
        often=True,
        length={"baseline_s": 8, "storm_s": 52, "quiet_s": 8},
    ),
    _defect(
        "leaks_on_error",
        "growth_per_fault",
        "leak_on_error descriptor_leak",
        "file_descriptors",
        fault=REFUSED_TWICE,
        length={"baseline_s": 12, "storm_s": 60, "quiet_s": 16},
    ),
    _defect("invents_answers", "answers_witnessed", "answers_made_up", often=True),
    _defect("overrides_answers", "answers_witnessed", "answers_made_up"),
    _defect("exchanges_requests", "requests_witnessed", "request_tampered", "routing"),
    _defect("rewrites_log", "log_rewritten", "log_rewritten", "decision_log exactly_once"),
    _defect("leaves_files", "files_left", "temp_files_left"),
    _defect("drops_parameters", "parameters_witnessed", "parameters_ignored", often=True),
    _defect("misroutes", "routing", "work_not_done", "child_witnessed", soak="soak_b"),
    _defect("last_first", "fifo", "wrong_order", "order_witnessed", soak="soak_b"),
    _defect("claims_order", "order_witnessed", "wrong_order", soak="soak_b", often=True),
    _defect("leaves_zombies", "resource_growth", "children_left", length=LONG),
    _defect("leaves_threads", "resource_growth", "thread_leak", length=LONG),
    _defect("leaves_descriptors", "file_descriptors", "descriptor_leak", length=LONG),
    _defect(
        "leaves_sockets",
        "resource_growth file_descriptors",
        "socket_leak",
        length=LONG,
    ),
    _defect("leaves_children", "resource_growth", "children_left", length=LONG),
    _defect(
        "leaves_temp_files",
        "resource_growth files_left",
        "temp_files_left",
        length=LONG,
    ),
    _defect("floods_log", "log_growth", "files_grow disk_exhaustion", "disk_growth"),
    _defect("fills_disk", "disk_growth files_left", "files_grow temp_files_left disk_exhaustion"),
    _defect("logs_tracebacks", "errors", "errors_logged"),
    _defect("wedges", "stall completed_cycles", "stall", ANY),
    _defect("skips_learning", "work_completed routing", "work_fails work_not_done", ANY),
    _defect("asks_for_no_selfplay", "selfplay_dispatches", "trigger_silent"),
    _defect("lies_about_exit", "child_witnessed routing", "work_not_done", ANY),
    _defect(
        "reverses_steps",
        "parameters_witnessed work_completed",
        "parameters_ignored work_fails",
        ANY,
    ),
    _defect("pid_of_another", "child_witnessed routing", "work_not_done", ANY),
    _defect("never_stops_llm", "llm_lifecycle", "llm_not_managed vram_not_freed", ANY),
    _defect("starts_llm_early", "llm_lifecycle", "llm_not_managed second_server", ANY),
    _defect(
        "leaves_llm_down",
        "heuristic_fallbacks llm_lifecycle",
        "llm_not_managed llm_unused llm_connection_drop",
        ANY,
    ),
    _defect("always_heuristic", "heuristic_fallbacks", "llm_unused", ANY),
    _defect(
        "waits_for_ever",
        "call_time_limit",
        "no_time_limit",
        "stall recovery_time",
        fault="llm_stall:count=1,hold=20s",
    ),
    _defect(
        "accepts_anything",
        "answers_witnessed",
        "answers_made_up",
        ANY,
        fault="llm_prose:count=1,hold=15s",
    ),
    _defect(
        "gives_up_after_failure",
        "stall",
        "stall",
        ANY,
        fault=REFUSED_TWICE,
        length={"baseline_s": 8, "storm_s": 52, "quiet_s": 8},
    ),
    _defect("loses_requests", "requests_witnessed", "request_tampered", ANY),
    _defect(
        "never_archives",
        "requests_archived requests_pending request_queue exactly_once",
        "requests_left stall decisions_missing",
        ANY,
    ),
    _defect(
        "dies_of_bad_file", "watcher_alive", "process_died queue_corruption", ANY, fault=CORRUPT
    ),
    _defect(
        "stuck_at_bad_file", "stall request_queue", "queue_corruption stall", ANY, fault=CORRUPT
    ),
    _defect(
        "archives_bad_files",
        "request_queue exactly_once",
        "bad_files_accepted decisions_missing",
        ANY,
        fault=CORRUPT,
    ),
    _defect("starves_learning", "fifo order_witnessed", "wrong_order", ANY, soak="soak_b"),
    _defect("forgets_decisions", "exactly_once", "decisions_missing", ANY),
    _defect("logs_twice", "decision_log exactly_once", "duplicate_work log_broken", ANY),
    _defect("half_lines", "decision_log", "log_broken decisions_missing", ANY),
    _defect("same_number", "decision_log", "ids_repeated", ANY),
    _defect("loses_draws", "draws_ingested", "draws_lost", ANY),
    _defect("edits_history", "draws_expected", "history_changed", ANY),
    _defect("tears_telemetry", "telemetry", "telemetry_broken", ANY),
    _defect("stale_telemetry", "telemetry", "telemetry_broken work_not_done", ANY),
    _defect("knows_the_past", "convergence", "not_learning", ANY),
    _defect("same_candidate", "policy_candidates", "candidates_repeated work_not_done", ANY),
    _defect("dies_on_full_disk", "watcher_alive", "process_died disk_exhaustion", ANY, fault=FULL),
    _defect("exits_with_error", "halt", "halt_ignored", ANY),
    _defect(
        "keeps_old_lock",
        "watcher_alive recovery_time",
        "process_died",
        ANY,
        fault="watcher_killed:count=1,hold=4s",
    ),
    _defect(
        "trusts_the_clock",
        "stall watcher_alive",
        "stall",
        ANY,
        fault="watcher_clock_jump:count=1,hold=15s",
    ),
    _defect(
        "stays_slow",
        "steady_state",
        "stays_slow",
        ANY,
        fault=TIMEOUT,
        length={"baseline_s": 40, "storm_s": 40, "quiet_s": 60},
    ),
    _defect("spins", "idle_cpu", "busy_idle", "memory_growth", often=True, length=SHORT),
    _defect(
        "hides_attempts",
        "answers_witnessed",
        "attempts_hidden",
        fault="llm_error:count=1,hold=20s,every=2",
    ),
    _defect("bad_grammar", "heuristic_fallbacks", "llm_request_refused", ANY),
    _defect("short_answers", "heuristic_fallbacks", "answers_cut_short", ANY),
    _defect("ignores_plan", "parameters_witnessed", "parameters_ignored"),
    _defect("passes_the_link_by", "answers_witnessed", "past_the_link", ANY, fault=TIMEOUT),
    _defect(
        "leaks_per_call",
        "growth_per_fault",
        "leak_on_error descriptor_leak",
        "file_descriptors",
        fault="llm_refused:count=1,hold=12s",
        length={"baseline_s": 10, "storm_s": 30, "quiet_s": 16},
    ),
)
HEALTHY = (
    Planted("odd_habits", fault=CRASH, often=True),
    Planted("healthy_slow"),
    Planted("healthy_chatty"),
    Planted("healthy_warm_up", length=LONG),
    Planted("healthy_cache", length=LONG),
    Planted("healthy_threads"),
    Planted("healthy_back_off", fault=REFUSED),
    Planted("healthy_one_attempt", fault=TIMEOUT),
    Planted("healthy_second_stamps", fault=TIMEOUT),
    Planted("healthy_helpers"),
    Planted("healthy_own_temp"),
    Planted("healthy_rotates", length=LONG),
    Planted("healthy_asks_twice"),
    Planted("healthy_signals"),
    Planted("healthy_time_zone", fault=TIMEOUT),
    Planted("healthy_ends_llm_by_name"),
)
