"""Read the workspace: the state before the work, and the requests that still wait.

Only reads files. Shared by the workloads; knows none of them.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chaos.base.deadline import Deadline
from chaos.base.errors import EnvironmentProblem
from chaos.base.files import matching
from chaos.record.daemon_files import entries_of
from chaos.record.history import HistoryWriter
from chaos.record.target import Target
from chaos.record.work import Work
from chaos.witness.files import waiting_requests

_POLL_S = 0.4
# A request that moves from one folder to the next can be missed once, but not twice.
EMPTY_POLLS_MIN = 2
_NAMED_MAX = 20
_WHOLE_TIMES = 4  # the limit of a drain in which one request after the other is still finished


def snapshot(workspace: Path, target: Target) -> dict[str, Any]:
    """The starting state, with which later checks compare (the plan's "record starting state").

    `draws`, `decisions` and `archived` are counts, `policy_candidates` file names; without `draws`
    where they cannot be counted now. Raises `EnvironmentProblem` if the draw history cannot be
    read.
    """
    candidates = matching(workspace, target.paths.policy_candidates)
    decisions = workspace / target.decisions.path
    draws = read_draws(workspace, target)
    return {
        **({} if draws is None else {"draws": len(draws)}),
        "policy_candidates": sorted(path.name for path in candidates),
        "decisions": decisions.read_bytes().count(b"\n") if decisions.is_file() else 0,
        "archived": len(matching(workspace, target.work.finished.files)),
    }


def unanswered(workspace: Path, work: Work, submitted: Iterable[str] = ()) -> list[str]:
    """The names of the requests that are pending or claimed.

    Where the target does not say where work waits, or what is worked on: also those of `submitted`
    that are not finished. A daemon may keep them in a database.
    """
    waiting = waiting_requests(workspace, work)
    if work.pending and work.claimed:
        return waiting
    finished = {work.request_of(path.name) for path in matching(workspace, work.finished.files)}
    aside = {path.name for path in matching(workspace, work.set_aside)}
    hidden = [name for name in submitted if name not in finished and name not in aside]
    return list(dict.fromkeys([*waiting, *hidden]))


def read_draws(workspace: Path, target: Target) -> list[Any] | None:
    """All draws of the history; none where there is no such file (yet).

    None where the target does not say how to read them while the run goes on. Raises
    `EnvironmentProblem` if the history cannot be read.
    """
    source = target.draw_log.source
    if source is None:
        return None
    try:
        return entries_of(workspace, source)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EnvironmentProblem(
            f"the draw history cannot be read: {error}",
            place=str(workspace / source.path),
            next_step="see the logs of the prepare commands in the run directory",
        ) from error


UNDIAGNOSED = "draw without diagnostics"  # how such an entry of what waits begins


def drain(
    list_waiting: Callable[[], list[str]],
    history: HistoryWriter,
    deadline: Deadline,
    quiet_s: float = 0.0,
    *,
    poll_s: float = _POLL_S,
) -> None:
    """Poll `list_waiting` until no request waited for `quiet_s`, or until the deadline.

    A daemon that is slow, on a busy machine for instance, is not stuck: whenever a request has
    left that never left before, the limit begins again, up to four times as long in all. Records
    the event `drained`.
    """
    polls_min = max(EMPTY_POLLS_MIN, math.ceil(quiet_s / poll_s))
    start_s, whole = history.now_s(), Deadline(_WHOLE_TIMES * deadline.limit_s)
    waiting, empty_polls = list_waiting(), 0
    seen, done = set(waiting), set[str]()
    while empty_polls < polls_min and deadline.wait(poll_s):
        waiting = list_waiting()
        empty_polls = 0 if waiting else empty_polls + 1
        finished = seen.difference(waiting, done)
        if finished and not whole.expired():
            deadline.renew()
        done |= finished
        seen.update(waiting)
    history.event(
        "drained",
        pending=len(waiting),
        draws=sum(name.startswith(UNDIAGNOSED) for name in waiting),
        waiting=sorted(waiting)[:_NAMED_MAX],
        took_s=round(history.now_s() - start_s, 3),
        in_time=not waiting,
    )
