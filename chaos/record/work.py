"""The section `work` of a target: how work reaches the daemon, and where it lies then.

A piece of work, a request, has one name wherever it lies: what the harness calls it, with
`submit.suffix` at its end. What a daemon makes of the file's name is undone here.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from chaos.base.bounded import PositiveSeconds

PlaceName = Literal["pending", "claimed", "archived", "quarantined"]
PLACES: tuple[PlaceName, ...] = ("pending", "claimed", "archived", "quarantined")


class Submit(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a piece of work reaches the daemon: exactly one of the three.

    `folder`: a file is put into it, in one step. `command`: is run in the workspace. `post`: a URL
    that takes the work as JSON. In command and URL `{id}` is the work's name, `{file}` a file
    with the work as JSON. `suffix`: the end of every name, e.g. `.task`; it may be empty.
    """

    folder: str = ""
    command: list[str] = []
    post: str = ""
    suffix: str = ".json"
    limit_s: PositiveSeconds = 10.0


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of one place. `name`: a regular expression for their names, with the group
    `request`. Without it a file has the work's name, but for the end that the glob gives.
    """

    files: str
    name: str = ""

    def request_of(self, name: str, suffix: str) -> str:
        """The request that a file of this name belongs to; "" for none."""
        if self.name:
            found = re.fullmatch(self.name, name)
            request = (found["request"] or "") if found else ""
            return request if not request or request.endswith(suffix) else request + suffix
        end = self.end
        return name.removesuffix(end) + suffix if end and name.endswith(end) else name

    @property
    def end(self) -> str:
        """What the glob has after a first and only wildcard `*`, e.g. `.json.lock`; else ""."""
        glob = self.files.rpartition("/")[2]
        plain = glob.startswith("*") and not set(glob[1:]) & set("*?[")
        return glob[1:] if plain else ""


class Done(Place, frozen=True, forbid_unknown_fields=True):
    """The files of finished work. `name` may have the group `status`, too. `request`: the file is
    the request itself, kept as it was; else it may hold anything.
    """

    request: bool = False


class Work(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How work reaches the daemon, and where it lies then (globs, relative to the workspace)."""

    submit: Submit
    done: str | Done
    pending: str | Place = ""
    claimed: str | Place = ""  # the request under another name or elsewhere, or a lock beside it
    set_aside: str = ""  # what the daemon could not read
    unit_s: PositiveSeconds = 1.0  # about how long a piece of work takes
    # What it promises of the order in which it takes its work. Without a promise an order by name,
    # which is that of a sorted folder, is as good.
    order: Literal["", "arrival"] = ""
    type_field: str = ""  # of a request; says its kind
    # Values of that field that mean each of the plan's two types.
    types_selfplay: list[str] = msgspec.field(default_factory=lambda: ["selfplay"])
    types_learning: list[str] = msgspec.field(default_factory=lambda: ["learning_loop"])
    # Whether the daemon asks for selfplay by itself in every soak C: then a run in which it does
    # not fails.
    emits_selfplay: bool = False
    # The content of a piece of work by its kind, or of any. Filled in: {id} (its name), {type},
    # {source}, {sequence}, {reason}, {timestamp}, {episodes}, {scope}. A key whose placeholder has
    # no value is left out.
    kinds: dict[str, dict[str, Any]] = {}
    body: dict[str, Any] = {}

    @property
    def finished(self) -> Done:
        """`done` in its long form."""
        return Done(files=self.done) if isinstance(self.done, str) else self.done

    def places(self) -> dict[str, str]:
        """The glob of each place that the target names: pending, claimed, archived, quarantined."""
        globs = {place: self._place(place).files for place in PLACES}
        return {place: glob for place, glob in globs.items() if glob}

    def _place(self, place: PlaceName) -> Place:
        said = {"pending": self.pending, "claimed": self.claimed, "archived": self.done}
        of_place = said.get(place, self.set_aside)
        return Place(files=of_place) if isinstance(of_place, str) else of_place

    def renames(self, place: PlaceName) -> bool:
        """Whether only some of the files in this place are requests, by their names."""
        return bool(self._place(place).name)

    def request_of(self, name: str, place: PlaceName = "archived") -> str:
        """The request that a file of this name in this place belongs to; "" for none."""
        if place == "quarantined":
            return name
        return self._place(place).request_of(name, self.submit.suffix)

    def requests(self, place: PlaceName, names: Iterable[str]) -> list[str]:
        """The requests that files of these names in this place belong to."""
        return [request for name in names if (request := self.request_of(name, place))]

    def status_of(self, name: str) -> str:
        """The status that the name of a file of finished work says; "" for none."""
        found = re.fullmatch(self.finished.name, name) if self.finished.name else None
        return (found.groupdict().get("status") or "") if found else ""

    def named(self, stem: str) -> str:
        """The name of a request: `stem` and the target's suffix."""
        return stem + self.submit.suffix

    def stem(self, name: str) -> str:
        """The name of a request without that suffix."""
        return name.removesuffix(self.submit.suffix)
