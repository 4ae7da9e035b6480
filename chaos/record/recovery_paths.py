"""The paths that faults exist to exercise: names only. Knows neither faults nor checks.

A triage path is a chapter of the triage guide; a reconnection path is how the Watcher comes back
once the fault is over. A fault names one of each, and a run shows whether they were taken.
"""

from typing import Final

NO_PATH: Final = "none"

LLM_DROP: Final = "LLM connection drop"
MEMORY_LEAK: Final = "Memory leak"
QUEUE_CORRUPTION: Final = "Queue corruption"
VRAM_NOT_FREED: Final = "VRAM not freed"
DISK_EXHAUSTION: Final = "Disk space exhaustion"
PROCESS_DIED: Final = "Process died"
STALL: Final = "Stall"

# The Watcher calls the LLM again and gets an answer, without being started anew.
LLM_CLIENT: Final = "LLM client"
# A new LLM server process, and then an answer of it.
LLM_SERVER_RESTART: Final = "LLM server restart"
# A new Watcher process, and then a decision of it.
WATCHER_RESTART: Final = "Watcher restart"
# Requests are finished again.
WORK_RESUMES: Final = "Work resumes"

TRIAGE_PATHS: Final = (
    LLM_DROP,
    MEMORY_LEAK,
    QUEUE_CORRUPTION,
    VRAM_NOT_FREED,
    DISK_EXHAUSTION,
    PROCESS_DIED,
    STALL,
    NO_PATH,
)
RECONNECTION_PATHS: Final = (
    LLM_CLIENT,
    LLM_SERVER_RESTART,
    WATCHER_RESTART,
    WORK_RESUMES,
    NO_PATH,
)
