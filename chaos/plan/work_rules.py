"""Check what a target says of its work: one way to submit it, and names that can be read.

Pure; applied as the rules of target_rules.py are.
"""

import re
from collections.abc import Iterator

from chaos.base.typedtree import Problem
from chaos.plan.value_rules import Keys, is_url
from chaos.record.target import Target
from chaos.record.work import Place


def work_problems(target: Target) -> Iterator[Problem]:
    """Everything in `work` that cannot be used."""
    submit = target.work.submit
    given = [name for name in ("folder", "command", "post") if getattr(submit, name)]
    if len(given) != 1:
        what = " and ".join(given) or "none of them"
        step = "say one: folder (a file is put there), command, or post (a URL)"
        yield Problem(("work", "submit"), f"exactly one way is needed, this has {what}", step)
    if submit.post and not is_url(submit.post):
        step = "write e.g. http://127.0.0.1:9000/jobs"
        yield Problem(("work", "submit", "post"), f"{submit.post!r} is no http URL", step)
    if "/" in submit.suffix or "\0" in submit.suffix:
        keys = ("work", "submit", "suffix")
        yield Problem(keys, f"{submit.suffix!r} cannot end a name", "write e.g. .task")
    for key in ("done", "pending", "claimed"):
        place = getattr(target.work, key)
        if isinstance(place, Place):
            yield from _name_pattern(("work", key, "name"), place.name)


def _name_pattern(keys: Keys, pattern: str) -> Iterator[Problem]:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        step = "correct the regular expression"
        yield Problem(keys, f"{pattern!r} cannot be read: {error}", step)
        return
    if pattern and "request" not in groups:
        step = "name the part that is the request: (?P<request>.+)"
        yield Problem(keys, f"{pattern!r} does not say which request it is", step)
