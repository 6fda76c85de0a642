"""Collections of the system state that copies share until one of them is about to be changed; no rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Protocol, TypeVar


class Part(Protocol):
    """Something that can be copied so that changes of the copy are its own."""

    def copy(self: P) -> P:
        """A copy that shares nothing that changes."""


P = TypeVar("P", bound=Part)
SEALED = "What the ledger has kept is not changed: change a copy of the state"


class Registry(MutableMapping[bytes, P]):
    """Parts by id. Asking a copy for a part copies that part alone; `peek` asks for all of them without.

    A sealed registry hands out its own parts, to be read only, and cannot be changed.
    """

    __slots__ = ("_held", "_own", "_sealed", "_lent", "_origin")

    def __init__(self, held: Mapping[bytes, P] | None = None) -> None:
        self._held: dict[bytes, P] = dict(held or {})
        self._own: set[bytes] = set(self._held)
        self._sealed = self._lent = False
        self._origin: object = None

    def copy(self) -> Registry[P]:
        """A copy that can be changed and shares nothing that changes."""
        made: Registry[P] = Registry()
        made._origin = self._origin
        if self._sealed:
            made._held, made._lent = self._held, True
        else:
            made._held = {i: p.copy() if i in self._own else p for i, p in self._held.items()}
            made._own = set(self._own)
        return made

    def seal(self) -> None:
        """From now on nothing changes here."""
        self._sealed, self._lent, self._origin = True, False, object()
        self._own.clear()

    def peek(self) -> Mapping[bytes, P]:
        """All parts as they are, to be read only."""
        return self._held

    def touched(self, since: Registry[P]) -> Iterable[bytes]:
        """Ids of all parts that may differ from those of a sealed registry, removed ones too."""
        if self._origin is not None and self._origin is since._origin:
            return self._own
        ids = self._held.keys() | since._held.keys()
        return [i for i in ids if self._held.get(i) is not since._held.get(i)]

    def __getitem__(self, key: bytes) -> P:
        if self._sealed or key in self._own:
            return self._held[key]
        found = self._held[key].copy()
        self._keep(key, found)
        return found

    def __setitem__(self, key: bytes, part: P) -> None:
        self._keep(key, part)

    def __delitem__(self, key: bytes) -> None:
        self._writable()
        del self._held[key]
        self._own.add(key)

    def _keep(self, key: bytes, part: P) -> None:
        self._writable()
        self._held[key] = part
        self._own.add(key)

    def _writable(self) -> None:
        if self._sealed:
            raise TypeError(SEALED)
        if self._lent:
            self._held, self._lent = dict(self._held), False

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __eq__(self, other: object) -> bool:
        return self._held == (other._held if isinstance(other, Registry) else other)

    def __repr__(self) -> str:
        return f"Registry({self._held!r})"


class Roster(MutableSequence[P]):
    """Parts in a row, few of them: asking a copy for one copies all. `peek` and `seal` are as in a registry."""

    __slots__ = ("_held", "_mine", "_sealed")

    def __init__(self, held: Iterable[P] = ()) -> None:
        self._held, self._mine, self._sealed = list(held), True, False

    def copy(self) -> Roster[P]:
        """A copy that can be changed and shares nothing that changes."""
        made: Roster[P] = Roster()
        shared = self._sealed or not self._mine
        made._held, made._mine = (self._held, False) if shared else ([p.copy() for p in self._held], True)
        return made

    def seal(self) -> None:
        """From now on nothing changes here."""
        self._sealed = True

    def peek(self) -> tuple[P, ...]:
        """All parts as they are, to be read only."""
        return tuple(self._held)

    def same(self, since: Roster[P]) -> bool:
        """Whether nothing was even asked for since the copy was made; False decides nothing."""
        return self._held is since._held

    def _ready(self) -> list[P]:
        if not self._mine and not self._sealed:
            self._held, self._mine = [p.copy() for p in self._held], True
        return self._held

    def _writable(self) -> list[P]:
        if self._sealed:
            raise TypeError(SEALED)
        return self._ready()

    def __getitem__(self, index: Any) -> Any:
        return self._ready()[index]

    def __setitem__(self, index: Any, part: Any) -> None:
        self._writable()[index] = part

    def __delitem__(self, index: Any) -> None:
        del self._writable()[index]

    def insert(self, index: int, value: P) -> None:
        """Put a part before `index`."""
        self._writable().insert(index, value)

    def sort(self, key: Callable[[P], Any]) -> None:
        """Put the parts in order."""
        self._writable().sort(key=key)

    def __iter__(self) -> Iterator[P]:
        return iter(self._ready())

    def __len__(self) -> int:
        return len(self._held)

    def __eq__(self, other: object) -> bool:
        return self._held == (other._held if isinstance(other, Roster) else other)

    def __repr__(self) -> str:
        return f"Roster({self._held!r})"
