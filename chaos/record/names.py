"""Sets of declared names. Using a name that is not declared is a defect, and raises at once."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar


class Declared(Protocol):
    """Anything that is declared under a name."""

    @property
    def name(self) -> str:
        """The name."""


D = TypeVar("D", bound=Declared)


class UndeclaredName(LookupError):
    """A name was used that `chaos.record` does not declare."""


class Names(Mapping[str, D]):
    """Declarations by name, in the order of declaration. `kind` is the noun in messages."""

    def __init__(self, kind: str, declarations: tuple[D, ...]) -> None:
        self._kind = kind
        self._by_name = {one.name: one for one in declarations}
        assert len(self._by_name) == len(declarations), f"a {kind} is declared twice"

    def __getitem__(self, name: str) -> D:
        try:
            return self._by_name[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._by_name, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UndeclaredName(f"undeclared {self._kind} {name!r}{hint}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)
