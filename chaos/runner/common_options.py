"""Options that several commands have, declared once. Standard library only (`chaos --help`)."""

from pathlib import Path
from typing import Annotated, Literal

from chaos.base.arguments import argument

Run = Annotated[str, argument("a run directory, SOAK/latest or latest", "RUN", positional=True)]
Runs = Annotated[Path, argument("where runs are stored", "DIR")]
RUNS = Path("runs")
FAULT = "NAME[:KEY=VALUE,...]"
Watcher = Annotated[
    str | None, argument("the Watcher: a target's name or the path of its file", "NAME")
]
Backend = Annotated[
    Literal["local", "docker"] | None,
    argument(
        "local: processes in a private sandbox (the default); docker: containers, from "
        "docker-compose.yml"
    ),
]
Gpu = Annotated[bool, argument("give the containers the NVIDIA GPUs (adds docker-compose.gpu.yml)")]
VerdictJson = Annotated[bool, argument("the verdict as JSON on stdout")]
PrintJson = Annotated[bool, argument("print JSON")]
NoColor = Annotated[bool, argument("no colours (also NO_COLOR)")]
Quiet = Annotated[bool, argument("only the result, on one line", short="-q")]

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
