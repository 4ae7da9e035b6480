"""The options of `chaos monitor`. Standard library only: every `chaos --help` imports this."""

from collections.abc import Sequence
from pathlib import Path

from chaos.base.arguments import Options, option
from chaos.runner import common_options as common


class MonitorOptions(Options):
    """Monitor a running Watcher: all signals, and alerts on thresholds."""

    EPILOG = """\
examples:
  chaos monitor --workspace ~/watcher --interval 30s
  chaos monitor --jsonl --interval 100ms > signals.jsonl
  chaos monitor --alert 'watcher.rss_anon_bytes>200MB' --alert 'llm.health!=ok for 30s'
  chaos monitor --pid 4711 --alert none --count 1

The PID file names the Watcher's process (section `instance` of the target profile), unless --pid
is given. The name of a process is never used.

alerts: KEY OPERATOR VALUE [for DURATION], operators < <= > >= = !=, values 5, 200MB, ok, absent;
`rise:KEY` is the increase since the monitor's start. They are added to the default ones:
  watcher.pid=absent for 5s     rise:watcher.rss_anon_bytes>200MB   rise:watcher.fds>50
  rise:log.tracebacks>0         rise:queue.quarantined>0            queue.stalled_s>300
  llm.health!=ok for 60s
  disk.workspace_free_bytes below 5 % of the volume, 5 GB at most

Signals that change slowly or are expensive to read are not read for every sample. Their last value
is repeated, also for alerts. These are read every 2s: the Watcher's sockets and zombies, temporary
files, candidates and the host. These are read every 1s: its descriptors, threads, swap and CPU,
queue (and for how long it stalls), decisions, draws, logs, disk, GPUs, the LLM server's process,
health and gauges.

exit codes:
  0  ended by Ctrl-C, SIGTERM or --count, and no alert was raised
  2  usage or configuration error
  4  the workspace cannot be read, or no process has the PID of --pid; an empty folder is no
     error, because the Watcher may start later
  5  an alert was raised: a threshold was crossed
"""

    target: str = common.TARGET
    workspace: Path | None = option(
        "the Watcher's working directory (default: that of --pid, else the current folder)", "DIR"
    )
    pid: int | None = option("the Watcher's process, instead of the one in its PID file", "N")
    llm: str | None = common.LLM
    interval: str = option("between samples, e.g. 100ms, 30s", "S", default="5s")
    count: int | None = option("end after so many samples", "N")
    jsonl: bool = option("JSON lines, one object each, for machines")
    alert: Sequence[str] = option(
        "add an alert; may be repeated; `none` removes the default ones", "RULE"
    )
    until_alert: bool = option("end at the first alert")
    no_color: bool = common.NO_COLOR
