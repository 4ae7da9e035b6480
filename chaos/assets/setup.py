"""`chaos setup`: provisions all assets and says where they are."""

from __future__ import annotations

import sys

from chaos import assets
from chaos.assets.progress import progress_for
from chaos.base.exitcode import ExitCode


def run_setup(verify: bool, quiet: bool) -> int:
    """Provision what is missing, replace what is corrupt; `verify` reads the model anew.

    Raises `ChaosError` when something cannot be had. Returns the exit code.
    """
    found = assets.ensure(progress_for(quiet=quiet), verify=verify, repair=True)
    if not quiet:
        print(f"model      {found.model}\n           SHA-256 {found.model_sha256}")
        print(f"toxiproxy  {found.toxiproxy or 'none'} ({found.toxiproxy_version})")
        print(f"llm server {found.llama_build}")
        sys.stdout.flush()
    return ExitCode.PASS
