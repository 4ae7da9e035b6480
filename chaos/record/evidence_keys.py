"""Every key that the evidence of a fault may have, declared once: name and meaning.

The evidence is recorded with each state of a fault (`FaultRecord.evidence`). The storm looks its
keys up here and among those that the kind itself declares (`chaos.faults.base.Fault.evidence`); any
other key raises `UndeclaredName`. The unit is the suffix of the name: `_s`, `_ms`, `_mb` (2**20
bytes), `_kbyte_s` (1000 bytes per second); times of day are Unix time. What stands below a key (the
undo record, one HTTP exchange) is the kind's own.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from chaos.record.names import Names, UndeclaredName


@dataclass(frozen=True)
class EvidenceKey:
    """One key. A kind may use a key of another kind if it means the same."""

    name: str
    meaning: str


_EVERY_KIND = {
    "reason": "why the fault cannot be injected here, or why there was nothing to break",
    "undo": "the undo record: what was written to the ledger before the injection",
    "traits": "what the kind says of itself: group, affects_llm, ends, summary",
    "late_ms": "from the scheduled moment to the begin of the injection",
    "took_ms": "how long the injection took",
    "error": "the error that a step of the fault raised",
    "why": "why the ledger entry was closed",
    "attempts": "how often the probe looked",
    "path_taken": "what shows that the fault's path was taken",
    "cuts_llm": "whether no usable answer of the LLM could reach the Watcher",
    "exit_code": "exit code of the process that ended; negative: the signal that ended it",
    "pid": "the process that was looked at",
    "states": "states of the threads (proc(5)) of one process, or by process",
    "written": "files of the service that were written while it was watched",
    "direct": "an exchange with the LLM server itself",
    "direct_before": "an exchange with the LLM server itself, before the one through the proxy",
    "direct_after": "an exchange with the LLM server itself, after the one through the proxy",
    "through_proxy": "an exchange with the LLM through the proxy",
    "loses_gpu": "of a kind of another package: whether it takes a GPU away",
}
_DISK = {
    "refused": "disk_full: writes refused in a row; watcher_second: whether the second one refused",
    "write": "a small write with fsync: outcome, size, duration",
    "small_write": "a write that must still work: outcome, size, duration",
    "large_write": "a write larger than what is free: outcome, size, duration",
    "write_at_end": "a small write just before recovery: outcome, size, duration",
    "writes_refused": "the error that writes get: ENOSPC or EROFS",
    "free_mb": "free on the volume",
    "free_mb_before": "free on the volume before the fault",
    "free_mb_at_end": "free on the volume just before recovery",
    "ballast_mb": "taken by the fault's ballast file",
    "topped_up_mb": "taken by the ballast after the injection, as others freed space",
    "topping_up_failed": "the error that ended the topping up; empty without one",
    "grown_mb": "size of the flood's file, in blocks",
    "grown_mb_at_end": "size of the flood's file just before recovery, in blocks",
    "in_s": "time since the flood began",
    "asked_mb": "flood: what its file must have at least; memory: what was asked for",
    "process_ended": "whether the flooding process has ended",
    "file_gone": "whether the flood's file is removed",
    "before": "the same measurement before the fault",
    "now": "creating a file and opening one for writing: ok, or the error",
    "files_listed": "files that a listing of the workspace shows",
    "still_writable": "what the read-only cover does not reach",
    "mount": "number of the topmost mount on the workspace",
    "read_only": "whether the topmost mount on the workspace is read-only",
}
_GPU = {
    "nvml_devices": "GPUs that a new process finds by the management library",
    "cuda_devices": "GPUs that a new process finds by CUDA",
    "nvml_error": "why the management library finds none",
    "cuda_error": "why CUDA finds none",
    "probe_error": "why the probe's process told nothing",
    "used_before_mb": "GPU memory in use before the fault",
    "used_mb": "GPU memory in use",
    "seen_by": "how the memory is seen to be held: process or device; empty: not at all",
}
_LLM_PROCESS = {
    "stops": "stops of the server that were watched to their end",
    "ignores_sigterm": "whether the kernel says that the server ignores SIGTERM",
    "lived_on_s": "from the stop to the end of the server",
    "killed_pid": "the server's process that was killed",
    "new_pid": "the server's process that took its place",
    "process_gone": "whether the killed process has ended",
    "never_scheduled": "whether no thread of the server ran while it was watched",
    "healthy": "whether the health question is answered with 200, directly and through the proxy",
    "completes": "whether the server completes a prompt",
    "normal_again": "whether the supervisor starts normal servers again",
    "loading_503_s": "how long the server answered 503",
    "start_s": "from the start of the server to its first 200",
    "usual_start_s": "how long starts took before the fault, median",
    "then": "HTTP status after the loading",
    "started_by": "who started the new server: the Watcher or the fault",
    "asked_again": "how often a second server was asked for while the slow one loaded",
}
_LLM_LINK = {
    "undone": "whether the proxy says that the break is undone",
    "through_proxy_kbyte_s": "rate of the answer through the proxy",
    "direct_kbyte_s": "rate of the slower direct answer",
    "later_ms": "how much later the answer through the proxy came than the direct one",
    "close_ms": "from the last byte to the end of the connection, through the proxy",
    "direct_close_ms": "from the last byte to the end of the connection, directly",
    "piece_bytes": "median size of the pieces in which the answer came",
    "gap_ms": "median time between two pieces of the answer",
    "seen": "completions of the Watcher that the wire proxy's rule has seen",
    "struck": "completions of the Watcher that the wire proxy's rule has changed",
    "probes_struck": "completions of the harness that the wire proxy's rule has changed",
    "not_struck": "why no completion of the Watcher was changed although it asked",
    "forms": "the forms in which the harness has asked: path, streamed, with tools",
    "rule_gone": "whether the wire proxy has no such rule any more",
}
_MACHINE = {
    "watcher": "the Watcher's process, or what became of it",
    "soft_limit": "the Watcher's soft limit, -1 for none",
    "soft_limit_before": "the Watcher's soft limit before the fault, -1 for none",
    "offset_s": "offset that the Watcher's clock must have",
    "ahead_s": "time stamp of the Watcher -> how far it is ahead of the time of its file",
    "proof": "the time stamp that has the offset",
    "cpus": "processors that the Watcher may use",
    "part": "part of a processor that a busy process gets where the Watcher runs",
    "part_before": "that part before the fault",
    "watcher_ran_ms": "how long the Watcher ran meanwhile",
    "watcher_waited_ms": "how long the Watcher waited for a processor meanwhile",
    "burners_left": "competing processes that are left",
    "spare": "descriptors that the Watcher may still open",
    "open": "descriptors that the Watcher holds",
    "watcher_says": "the line of its log that says it ran out of descriptors",
    "got_before": "what a process of the Watcher's size got before the fault: ok, or the error",
    "got": "what a process of the Watcher's size and limit gets: ok, or the error",
    "watcher_mb": "the Watcher's address space",
}
_PROCESS = {
    "process": "the service's process",
    "process_before": "the service's process before the fault",
    "another_process": "a process that has already taken its place",
    "same_process": "true if the first process still runs, where another one is due",
    "same": "whether the first process still runs, as it must",
    "threads": "states of the threads of a process that did not end",
    "watched_s": "how long the service was watched",
    "switches": "how often threads of the service were scheduled while it was watched",
    "draws": "draws in the history: the count, or the counts before and after",
    "draws_due": "draws that were due while it was watched",
    "draws_before": "draws in the history before the service was started again",
    "draw_interval_s": "time between two draws",
    "draw_due": "false if no draw is due within the limit of the probe",
    "down_s": "from the end of the process to the end of the start of the next one",
    "did_not_return": "why the service did not start, or ended again",
    "stop": "how the service stopped: took_s, limit_s, exit_code, clean",
    "children_then": "children of the process when it was killed",
    "children_now": "how many of those children still run",
    "killed": "false if nothing was killed",
    "waited_s": "how long the fault waited for a dispatch child",
    "child": "the dispatch child that ran when the Watcher was killed",
    "child_command": "its command line",
    "child_lives": "whether it still runs",
    "requests": "claimed requests when the Watcher was killed",
    "decided": "those of the requests that were already decided",
    "decisions": "request -> lines of the decision log that name it",
    "archived": "those of the requests that are archived",
    "second": "the process of the second Watcher",
    "second_lives": "whether the second Watcher still runs",
    "message": "what the second Watcher printed",
    "first": "the process of the first Watcher",
    "first_lives": "whether the first Watcher still runs",
    "owner": "the process that the instance file names",
}
_SYSCALL = {
    "calls_seen": "matching system calls that the witness has seen",
    "lost": "what a power cut would have taken, and was taken from the files",
    "said": "the line that names the error at which the Watcher ended; empty: none does",
    "last_words": "the last line that the Watcher wrote before it ended",
    "calls_changed": "system calls that the witness made fail, held back, or ended a process at",
    "rules_left": "rules that the system-call witness still holds, of all faults",
}
_QUEUE = {
    "files": "planted file -> what is wrong with it, whether it was read, where it was seen",
    "planted": "files that were planted",
    "there": "planted files that were read back; queue_stale_lock: whether there is a lock",
    "met": "planted files that the Watcher has read or taken",
    "waiting": "requests that wait in the queue",
    "submitted_after": "the good request that was submitted while the fault recovered",
    "decided_after": "the decision on that request",
    "ends": "planted file -> where it is now",
    "amiss": "what is not as it must be with the planted files",
    "leftovers": "files that are no requests, counted in the queue's folder",
    "flag_seen": "how often the halt flag was seen to appear",
    "at_work_then": "claimed requests when the halt flag was last seen to appear",
    "ended": "whether the Watcher ended while the fault held",
    "halt": "how the Watcher halted: took_s, exit_code",
    "halts": "each halt of the Watcher: took_s, exit_code",
    "readable": "whether the lock is a JSON object",
    "that_process_lives": "whether the process that the lock names runs",
    "started_as_told": "whether that process started when the lock says",
    "names_the_watcher": "whether the lock names the running Watcher",
    "lock": "what was read from the lock after recovery",
    "bytes": "size of the half line or half request that was read back",
    "of": "size of the whole request",
    "torn": "whether the log was seen to end in the half line",
    "log_ends_in": "the end of the half line",
    "wrong": "what is wrong with the half request",
    "not_met": "set if nobody has read the half request while the fault held",
    "met_later": "set if the Watcher read the half request after the fault held",
    "read_and_gone": "files that were read by the Watcher and then removed or renamed",
    "renamed_and_whole": "whether the whole request is there under its new name",
}

_ALL = (
    *(_EVERY_KIND, _DISK, _GPU, _LLM_PROCESS, _LLM_LINK),
    *(_MACHINE, _PROCESS, _SYSCALL, _QUEUE),
)
EVIDENCE = Names(
    "evidence key",
    tuple(EvidenceKey(name, meaning) for keys in _ALL for name, meaning in keys.items()),
)


# The suffix of a key -> its unit for people.
_UNITS = {"_kbyte_s": "kB/s", "_ms": "ms", "_mb": "MiB", "_s": "s", "bytes": "bytes"}


def unit_of(key: str) -> str:
    """The unit that the name of a key, or of a value below it, ends in; "" without one."""
    return next((unit for suffix, unit in _UNITS.items() if key.endswith(suffix)), "")


def check_evidence(kind: str, keys: Iterable[str], own: Container[str]) -> None:
    """Raise `UndeclaredName` for a key that neither `EVIDENCE` nor the kind (`own`) declares."""
    unknown = [key for key in keys if key not in EVIDENCE and key not in own]
    if unknown:
        raise UndeclaredName(
            f"fault {kind!r}: undeclared evidence {', '.join(unknown)}; "
            "declare it in the class attribute `evidence`"
        )
