"""The public face for third-party faults, checks and targets: import from here, and only from here.

A fault derives from `Fault`; its package names it in the entry point group `chaos.faults`
(docs/own-fault.md). Its class attribute `evidence` declares the keys of what it measures. A check
is SQL in an experiment (docs/tables.md) or, in a test of yours, a `Check`. A target is a YAML file;
`Target` is its form.
"""

from chaos.base.deadline import Deadline
from chaos.base.errors import ChaosError, EnvironmentProblem, UsageError
from chaos.checks.base import Check, Params
from chaos.checks.finding import Evidence, Finding
from chaos.checks.verdict import Verdict
from chaos.faults.base import Evidence as Measured
from chaos.faults.base import Fault, PlannedStack, probe
from chaos.faults.params import FaultParams, duration, number, text
from chaos.record.open_run import OpenRun
from chaos.record.recovery_paths import (
    LLM_CLIENT,
    LLM_SERVER_RESTART,
    NO_PATH,
    WATCHER_RESTART,
    WORK_RESUMES,
)
from chaos.record.target import Target
from chaos.stack.base import Stack

__all__ = [
    "LLM_CLIENT",
    "LLM_SERVER_RESTART",
    "NO_PATH",
    "WATCHER_RESTART",
    "WORK_RESUMES",
    "ChaosError",
    "Check",
    "Deadline",
    "EnvironmentProblem",
    "Evidence",
    "Fault",
    "FaultParams",
    "Finding",
    "Measured",
    "OpenRun",
    "Params",
    "PlannedStack",
    "Stack",
    "Target",
    "UsageError",
    "Verdict",
    "duration",
    "number",
    "probe",
    "text",
]
