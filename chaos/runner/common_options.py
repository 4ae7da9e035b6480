"""Options that several commands have, declared once. Standard library only (`chaos --help`)."""

import os
from pathlib import Path

from chaos.base.arguments import option

FAULT = "NAME[:KEY=VALUE,...]"
RUN = option("a run directory, SOAK/latest or latest", "RUN", positional=True)
RUNS_DEFAULT = Path(os.environ.get("CHAOS_RUNS") or "runs")
RUNS = option(
    "where runs are stored (default: $CHAOS_RUNS, else ./runs)", "DIR", default=RUNS_DEFAULT
)
SKIP_UNAVAILABLE = option("leave out faults that cannot be injected in this run, and say which")
WATCHER = option("the Watcher: a target's name or the path of its file", "NAME")
TARGET = option("a target's name or its file", "NAME", default="reference")
LLM = option("the LLM server (default: the target's endpoint)", "HOST:PORT")
BACKEND = option(
    "local: processes in a private sandbox (the default); docker: containers, from "
    "docker-compose.yml"
)
GPU = option("give the containers the NVIDIA GPUs (adds docker-compose.gpu.yml)")
NOTIFY = option(
    "at the end, POST the verdict as JSON to this http or https address; it may hold a secret, "
    "and is neither printed nor recorded",
    "URL",
)
VERDICT_JSON = option("the verdict as JSON on stdout")
PRINT_JSON = option("print JSON")
NO_COLOR = option("no colours (also NO_COLOR)")
QUIET = option("only the result, on one line", short="-q")
VERBOSE = option("every finding at the end, also those that passed", short="-v")

EXIT_CODES = """\
exit codes:
  0    pass
  1    resilience failure of the Watcher
  2    usage or configuration error
  3    inconclusive or unverified
  4    invalid: a problem of the infrastructure or the harness
  5    stopped by a guardrail
  6    clean-up incomplete: faults may remain, run `chaos clean`
  130  interrupted, after clean-up
"""
