"""What runs in containers left in the engine, found by their label and removed: for `chaos clean`.

Knows which engine a run used; nothing of how runs are lived.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from chaos.containers import engine, objects
from chaos.containers.settings import Settings
from chaos.errors import ChaosError
from chaos.rundir import RunDir

_ROUNDS_MAX = 5


def remove(run: RunDir, say: Callable[[str], None]) -> list[str]:
    """Remove what carries the run's label; what could not be removed, for people. Idempotent.

    In rounds: a call that was under way when the harness was killed may still make something.
    """
    try:
        settings = Settings.read(run)
        with closing(engine.connect(settings.engine)) as client:
            for _ in range(_ROUNDS_MAX):
                left = objects.remove(client, run.run_id, say)
                if not objects.names(client, run.run_id):
                    break
            else:
                left = left or objects.names(client, run.run_id)
        settings.take_back(run)
    except ChaosError as problem:
        return [f"containers of {run.path}: {problem.message}"]
    return left
