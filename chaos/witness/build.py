"""Build all sources for a target. The only module here that knows every source.

Each source has its own `period_s`: a slow or expensive signal is not read at every sample
(`reader.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from chaos.record.target import Target
from chaos.stack.base import Endpoint
from chaos.witness.base import Source
from chaos.witness.draws import DrawCount, DrawLines
from chaos.witness.files import Decisions, Disk, Folders, HaltFlags, Logs
from chaos.witness.gpu import GPUs, WriteEvent
from chaos.witness.gpu_owners import Owners
from chaos.witness.llm import LLMGauges, LLMHealth, LLMProcess
from chaos.witness.process import DETAILS_PERIOD_S, Harness, Host, ServiceProcess
from chaos.witness.sockets import WatcherSockets
from chaos.witness.temp_files import TempFiles

_CANDIDATES_PERIOD_S = 1.0
_SERVICES_PERIOD_S = 0.5


def build_sources(
    target: Target,
    workspace: Path,
    direct_llm: Endpoint,
    watcher_pid: Callable[[], int | None],
    *,
    services: Mapping[str, Callable[[], int | None]] | None = None,
    details_period_s: float = DETAILS_PERIOD_S,
    write_event: WriteEvent | None = None,
) -> list[Source]:
    """All sources for `target`, ready to be sampled.

    `workspace` is the Watcher's working directory as the harness sees it. `direct_llm` is the LLM
    server itself, not the proxy. `watcher_pid` returns the Watcher's current process, and
    `services` the same for other services by name; each may end and come back as another process.
    `details_period_s`: seconds between two reads of the expensive half of the Watcher's process
    signals. `write_event` records what happens to the GPUs.
    """
    others = dict(services or {})
    llm = LLMProcess(workspace / target.llm.events)
    owners = Owners({"watcher": watcher_pid, "llm": llm.pid, **others})
    queue = Folders.of_queue(workspace, target.work)
    return [
        ServiceProcess("watcher", watcher_pid, details_period_s=details_period_s),
        WatcherSockets(watcher_pid),
        llm,
        LLMHealth(direct_llm, target.llm.ready_path),
        LLMGauges(direct_llm),
        queue,
        *_of_records(target, workspace),
        Logs(workspace, target.paths.logs, target.error_patterns),
        Disk(workspace),
        TempFiles(workspace, queue.folders.values()),
        Host(),
        Harness(),
        GPUs(owners, write_event),
        *(
            ServiceProcess(name, pid, period_s=_SERVICES_PERIOD_S, details_period_s=0.0)
            for name, pid in others.items()
        ),
    ]


def _of_records(target: Target, workspace: Path) -> Iterator[Source]:
    """The sources of files that a target may have or not."""
    if target.halt_flags:
        yield HaltFlags(workspace, target.halt_flags)
    if target.decisions.path:
        yield Decisions(workspace, target.decisions, target.outcomes.done)
    if draws := target.draw_log.source:
        if draws.document:
            yield DrawCount(workspace, draws.path, draws.place)
        else:
            yield DrawLines(workspace, draws.path)
    if candidates := target.paths.policy_candidates:
        yield Folders(
            "candidates", {"candidates.count": candidates}, workspace, period_s=_CANDIDATES_PERIOD_S
        )
