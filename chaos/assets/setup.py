"""`chaos setup`: provisions all assets and prints their paths."""

import sys

from chaos import assets
from chaos.assets.progress import progress_for
from chaos.base.exitcode import ExitCode


def run_setup(verify: bool, quiet: bool) -> int:
    """Provision missing assets, replace corrupt ones, and return the exit code.

    `verify` reads the whole model even if the file seems unchanged. Raises `EnvironmentProblem`
    if an asset cannot be provisioned.
    """
    ready = assets.ensure(progress_for(quiet=quiet), verify=verify, repair=True)
    if not quiet:
        print(f"model      {ready.model}\n           SHA-256 {ready.model_sha256}")
        print(f"toxiproxy  {ready.toxiproxy or 'none'} ({ready.toxiproxy_version})")
        print(f"llm server {ready.llama_build}")
        sys.stdout.flush()
    return ExitCode.PASS
