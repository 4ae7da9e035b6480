"""The LLM server of the embedded stack: the native llama.cpp server, through xllamacpp.

Serves `/health`, `/completion` (GBNF), `/metrics`, `/slots` and `/props`. The settings bound its
memory and time: the prompt cache (off by default, so that memory measured during a soak is the
server's own), the context and the number of slots.

`--binary PATH` passes the same settings to an existing `llama-server` instead. `--load-delay-s` and
`--ignore-stop` inject two faults of real servers: a model that loads slowly, and a server that
ignores SIGTERM. It knows nothing of its clients.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from slow_load import answer_loading

PR_SET_PDEATHSIG = 1


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description="Serve one GGUF model with the llama.cpp HTTP server; logs go to stdout."
    )
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    # One thread: several threads synchronise after every operation, so on a machine with fewer free
    # cores than threads a decision takes ten times as long. On an idle machine one costs 20 %.
    parser.add_argument("--threads", type=int, default=1, help="threads for generation")
    parser.add_argument("--ctx", type=int, default=2048, help="context in tokens, all slots")
    parser.add_argument("--parallel", type=int, default=2, help="slots")
    parser.add_argument("--gpu-layers", type=int, default=-1, help="layers on the GPU (-1: fit)")
    parser.add_argument(
        "--cache-ram-mib", type=int, default=0, help="limit of the prompt cache in MiB (0: off)"
    )
    parser.add_argument("--batch", type=int, default=0, help="tokens per batch (0: its default)")
    parser.add_argument(
        "--micro-batch", type=int, default=0, help="tokens computed at once (0: its default)"
    )
    parser.add_argument(
        "--binary",
        default=os.environ.get("LLAMA_SERVER_BINARY", ""),
        help="run this llama-server instead of the built-in one",
    )
    parser.add_argument(
        "--binary-arguments",
        default="",
        metavar="TEXT",
        help="more arguments for --binary, as a shell splits them (--split-mode row...)",
    )
    parser.add_argument(
        "--die-with-parent",
        type=int,
        metavar="PID",
        default=0,
        help="get SIGKILL when the parent (which must be PID) ends",
    )
    parser.add_argument(
        "--load-delay-s",
        type=float,
        default=0.0,
        help="say 503 'Loading model' for so long before the model is loaded",
    )
    parser.add_argument(
        "--ignore-stop", action="store_true", help="ignore SIGTERM (not with --binary)"
    )
    return parser.parse_args(argv)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends; this survives exec.

    Raises SystemExit if the parent has ended already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise SystemExit("llm_server: the parent ended before the server had started")


def binary_command(options: argparse.Namespace) -> list[str]:
    """The command line of a native `llama-server` with the same settings."""
    command = [
        options.binary,
        *("--model", str(options.model)),
        *("--host", options.host),
        *("--port", str(options.port)),
        *("--threads", str(options.threads)),
        *("--ctx-size", str(options.ctx)),
        *("--parallel", str(options.parallel)),
        *("--cache-ram", str(options.cache_ram_mib)),
        "--metrics",
        "--slots",
        "--no-warmup",
    ]
    if options.gpu_layers >= 0:
        command += ["--n-gpu-layers", str(options.gpu_layers)]
    if options.batch:
        command += ["--batch-size", str(options.batch)]
    if options.micro_batch:
        command += ["--ubatch-size", str(options.micro_batch)]
    return command + shlex.split(options.binary_arguments)


def _exit_now(signum: int, frame: FrameType | None) -> None:
    # Skip the clean-up of native state: it takes time and can hang, and the kernel does it anyway.
    os._exit(0)


def serve(options: argparse.Namespace) -> None:
    """Load the model, and serve until a signal ends the process.

    Raises SystemExit if the model cannot be served.
    """
    import xllamacpp  # not at the top: `--help` and `--binary` do not need it

    delay_loading(options)  # after the slow import, so that the port is free only for a moment
    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = options.ctx
    params.n_parallel = options.parallel
    params.n_gpu_layers = options.gpu_layers
    params.cpuparams.n_threads = options.threads
    params.cache_ram_mib = options.cache_ram_mib
    params.n_batch = options.batch or params.n_batch
    params.n_ubatch = options.micro_batch or params.n_ubatch
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.warmup = False
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise SystemExit(f"llm_server: cannot serve {options.model}: {error}") from error
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_stop else _exit_now)
    signal.signal(signal.SIGINT, _exit_now)
    print(f"llm_server: listening on {server.listening_address}", flush=True)
    threading.Event().wait()


def delay_loading(options: argparse.Namespace) -> None:
    """Answer "Loading model" for `--load-delay-s`. Raises SystemExit if the port is taken.

    SIGTERM ends the process, by the kernel's default action.
    """
    if options.load_delay_s > 0:
        try:
            answer_loading(options.host, options.port, options.load_delay_s)
        except OSError as error:
            raise SystemExit(
                f"llm_server: cannot listen on {options.host}:{options.port}: {error}"
            ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server. Returns the exit code 2 if there is no model."""
    options = parse_arguments(argv)
    if not options.model.is_file():
        print(f"llm_server: no model at {options.model}", file=sys.stderr)
        return 2
    # While native code loads the model, no Python handler can run. The kernel's default action can.
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_stop else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if options.die_with_parent:
        die_with_parent(options.die_with_parent)
    if options.binary:
        delay_loading(options)
        command = binary_command(options)
        os.execvp(command[0], command)
    serve(options)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
