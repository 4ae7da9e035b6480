"""Duplicate requests: the same identity in two files, the same content twice, or the same name.

Proven by reading both files back and comparing them. Exactly one of them may take effect, whatever
the Watcher does with the other. Source: producers that retry, and copies made by hand.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from chaos.faults.base import PlannedStack
from chaos.faults.params import FaultParams, text
from chaos.faults.queue import requests
from chaos.faults.queue.base import Planted, QueueFault, whole
from chaos.faults.queue.folder import content_of
from chaos.record.work import Work
from chaos.stack.base import Stack

_NO_NUMBERS = (
    "the target's requests have no number, so that a duplicate cannot be recognized; "
    "add {sequence} to work.kinds"
)


class Doubled(QueueFault):
    """Two files that are one request."""

    def available_in(self, planned: PlannedStack) -> str | None:
        if not requests.numbered(planned.target.work):
            return _NO_NUMBERS
        return super().available_in(planned)

    def available(self, stack: Stack) -> str | None:
        if not requests.numbered(stack.target.work):
            return _NO_NUMBERS
        return super().available(stack)

    def twins(self, stack: Stack, *, same_bytes: bool) -> list[Planted]:
        """Two files with one identity; their other content differs unless `same_bytes`."""
        queue, folder = stack.target.work, self.folder(stack)
        first, second = self.name_of("first"), self.name_of("second")
        first_body = second_body = self.body(stack, first)
        if not same_bytes:
            second_body = self.body(
                stack, second, again=True, note="the same number, another request"
            )

        def like(other: str) -> Callable[[Path], str]:
            def wrong(path: Path) -> str:
                theirs = (content_of(folder.path(other, at)) for at in folder.places(other))
                return alike(queue, content_of(path), next(theirs, None), other)

            return wrong

        return [
            whole(first, "once", requests.encoded(first_body), like(second)),
            whole(second, "once", requests.encoded(second_body), like(first)),
        ]


def alike(queue: Work, one: bytes | None, other: bytes | None, name: str) -> str:
    """What makes two requests duplicates, from their bytes; "" if they are none."""
    if one is None or other is None:
        return ""
    if one == other:
        return f"the same bytes as {name}"
    identity = requests.identity(queue, one)
    if identity and identity == requests.identity(queue, other):
        return f"{' '.join(map(str, identity))}, as {name}"
    return ""


class QueueDuplicateId(Doubled):
    name = "queue_duplicate_id"
    summary = "two different request files with the same source and number"

    def plan(self, stack: Stack) -> list[Planted]:
        return self.twins(stack, same_bytes=False)


class QueueDuplicateFile(Doubled):
    name = "queue_duplicate_file"
    summary = "a request file once more: its name again after it was archived, or a copy"

    class Params(FaultParams):
        how: Annotated[
            Literal["same_name", "other_name"],
            text("the copy has the name of the request archived last (if any), or another"),
        ] = "same_name"

    params: Params

    @property
    def _same_name(self) -> bool:
        return self.params.how == "same_name"

    def available(self, stack: Stack) -> str | None:
        if self._same_name and self.folder(stack).newest_archived() is not None:
            return None
        return super().available(stack)

    def plan(self, stack: Stack) -> list[Planted]:
        folder = self.folder(stack)
        name = folder.newest_archived()
        if name is None or not self._same_name:
            return self.twins(stack, same_bytes=True)
        content = content_of(folder.path(name, "archived")) or b""

        def wrong(path: Path) -> str:
            archived = folder.path(name, "archived")
            original = content_of(archived)
            if path == archived or original is None or content_of(path) != original:
                return ""
            return f"{name} is in the archive, and here again"

        return [whole(name, "once", content, wrong)]
