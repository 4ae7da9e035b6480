"""Every event that a history may hold, declared once: name, meaning, keys of its detail.

`HistoryWriter.event` and the readers of a stored run look names up here; a name or a key that is
not declared raises `UndeclaredName` where it is used.
"""

from dataclasses import dataclass, field

from chaos.record.names import Names, UndeclaredName


@dataclass(frozen=True)
class EventKind:
    """One kind of event. `keys`: keys of its detail and what they mean; `open_detail`: others
    may stand there too.
    """

    name: str
    meaning: str
    keys: dict[str, str] = field(default_factory=dict)
    open_detail: bool = False

    def check(self, detail: dict[str, object]) -> None:
        """Raise `UndeclaredName` for a key of `detail` that is not declared."""
        unknown = [] if self.open_detail else [key for key in detail if key not in self.keys]
        if unknown:
            raise UndeclaredName(f"event {self.name!r}: undeclared detail {', '.join(unknown)}")


_COUNTS = {
    "draws": "draws in the history",
    "policy_candidates": "file names of the policy candidates",
    "decisions": "lines of the decision log",
    "archived": "archived requests",
}
_FILE = {
    "path": "path in the workspace",
    "sha256": "SHA-256 of the content, null when it could not be read",
    "content": "the JSON content",
    "omitted_bytes": "size of a content that was too large to record",
    "invalid": "true when it was no valid JSON",
    "reason": "what was wrong with it",
}
_GPU = {
    "device": "name of the GPU or MIG instance",
    "node": "its device file",
    "message": "what the driver said",
}

EVENTS = Names(
    "event",
    (
        EventKind("provisioning", "a step of the set-up begins", {"step": "what is done"}),
        EventKind(
            "ready",
            "the stack is up",
            {"took_s": "time of the set-up", "services": "process id by service"},
        ),
        EventKind(
            "not_witnessed",
            "system calls, or what goes over the links, should be witnessed, and cannot be",
            {"witness": "syscalls or wire", "reason": "why"},
        ),
        EventKind(
            "sampler",
            "how the sampler works",
            {
                "samples": "samples taken",
                "overruns": "scheduled samples that were skipped",
                "period_s": "time between samples",
                "repeated_s": "source -> age of a value that samples repeat",
            },
        ),
        EventKind("source_absent", "a signal source cannot be read", {"source": "", "reason": ""}),
        EventKind("source_present", "a signal source can be read again", {"source": ""}),
        EventKind("baseline_files", "what was there before the workload began", _COUNTS),
        EventKind("injector_started", "draws are being injected", {"interval_s": "between draws"}),
        EventKind(
            "injector_stopped",
            "no draw is injected any more",
            {"exit_code": "of the injector", "took_s": "time it took to stop"},
        ),
        EventKind("fault_paths", "the paths that the scheduled faults exercise", {"paths": ""}),
        EventKind(
            "fault_step_failed",
            "a step of a fault raised an error",
            {"fault_id": "", "step": "", "message": ""},
        ),
        EventKind("storm_stuck", "the storm did not end within its limit"),
        EventKind("artefact", "a new version of a watched file was seen", _FILE),
        EventKind("inspection", "a close look at the stack", {"why": "why"}, open_detail=True),
        EventKind(
            "drained",
            "the workload waited until the queue was empty",
            {
                "pending": "requests and draws left",
                "draws": "how many of these are draws without diagnostics",
                "waiting": "the first of their file names",
                "took_s": "time waited",
                "in_time": "whether the queue became empty",
            },
        ),
        EventKind("halt_skipped", "there was no daemon to halt", {"reason": ""}),
        EventKind(
            "halted",
            "the daemon was told to halt, as its users tell it",
            {
                "took_s": "from the command to the end of the process",
                "exit_code": "of the daemon",
                "killed": "whether it had to be killed",
                "how": "signal (the target has no halt), ends or pauses",
                "ended_s": "of a daemon that pauses: from being told to end to its end",
                "paused": "whether it took no work while it paused",
                "paused_s": "how long that was watched",
                "stop_exit_code": "of the command that ends a daemon that pauses",
                "flag_seen": "whether the halt flag was written",
                "command_exit_code": "of the halt command",
                "was_running": "whether there was a process to halt",
            },
        ),
        EventKind(
            "watcher_exit",
            "the daemon ended by itself",
            {
                "exit_code": "of the daemon",
                "invocation": "number of the batch command, from 1",
                "in_time": "whether the batch command ended within its limit",
            },
        ),
        EventKind(
            "service_exit",
            "a service of the stack or of the target ended by itself",
            {
                "service": "its name",
                "exit_code": "",
                "output": "of a service of the target: the last lines that it printed",
            },
        ),
        EventKind("gpu_units", "which GPU a name stands for", {"uuids": "UUID by name"}),
        EventKind("gpu_lost", "a GPU can no longer be asked", _GPU),
        EventKind("gpu_back", "a lost GPU answers again", _GPU),
        EventKind(
            "guardrail",
            "a limit of the host or of the run was reached",
            {"guardrail": "its name", "name": "", "measured": "", "limit": ""},
        ),
        EventKind("problem", "something went wrong that is not the daemon's", {"message": ""}),
        EventKind("collect_failed", "the daemon's files could not be collected", {"message": ""}),
        EventKind(
            "draws_recomputed",
            "the target's reference command was asked for the draws that were due",
            {"count": "draws that were asked for", "problem": "why there are none", "took_s": ""},
        ),
        EventKind(
            "cleanup",
            "the stack was taken down",
            {"complete": "whether nothing is left", "left": "what is left"},
        ),
        EventKind(
            "stopped",
            "the run ended",
            {"reason": "complete, interrupt, guardrail, usage or error", "message": ""},
        ),
    ),
)
