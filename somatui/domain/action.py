"""What an act of the operator is: where he stands, why it cannot be done, what it would do; the acts are others'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar

from somatui.domain import preflight
from somatui.domain.checks import Check, Consequence, refusal
from somatui.domain.ids import IdError
from somatui.domain.snapshot import OWN_NETWORKS, Snapshot

PANES = ("wallet", "targets", "models", "epochs", "jobs")


@dataclass(frozen=True, slots=True)
class Context:
    """Where the operator stands: snapshot, clock, pane, the row under the cursor, the words typed after the name."""

    snapshot: Snapshot
    now_ms: int
    pane: str = "wallet"
    row: str | None = None
    words: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class Action:
    """An act of the operator. The docstring's first line is its help; subclasses say when it may be done.

    Subclasses fill `checks` and `meaning`, which may raise IdError for words that name nothing; users of an action ask
    `unavailable`, `preflight` and `consequence`, which turn that into a refusal.
    """

    name: ClassVar[str]
    verb: ClassVar[str]
    key: ClassVar[str] = ""
    word: ClassVar[str] = ""
    """What footer and refusals call it where its name alone would not tell what it does."""
    example: ClassVar[str] = ""
    panes: ClassVar[tuple[str, ...]] = PANES
    signs: ClassVar[bool] = False
    confirms: ClassVar[bool] = False
    practice_only: ClassVar[bool] = False
    takes: ClassVar[str] = ""
    """What may follow its name on the `:` line, in a word or two; empty where nothing may."""
    options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What may be typed as name=value there, with the name of the argument that it is; named as on the command line."""

    def help(self) -> str:
        """The first line of the docstring."""
        return (type(self).__doc__ or "").strip().split("\n")[0]

    def unavailable(self, context: Context) -> str | None:
        """Why it cannot be done now, in one sentence, or None."""
        if self.practice_only and context.snapshot.network.kind not in OWN_NETWORKS:
            return f"{self.name}: only on the practice network or a local one."
        if self.signs and context.snapshot.wallet.watch_only:
            return preflight.WATCH_ONLY
        return refusal(self.preflight(context))

    def preflight(self, context: Context) -> tuple[Check, ...]:
        """The checks that the chain will make, made here first."""
        try:
            return self.checks(context)
        except IdError as unknown:
            return (Check(False, str(unknown)),)

    def consequence(self, context: Context) -> Consequence | None:
        """What it costs and risks; None for what costs nothing, and for words that `preflight` refuses.

        Where the network's colour is that of the main one, the profile's name has to be typed.
        """
        try:
            found = self.meaning(context)
        except IdError:
            return None
        if found is None or found.typed_word or context.snapshot.network.colour != "main":
            return found
        return replace(found, typed_word=context.snapshot.profile)

    def asks(self, context: Context) -> bool:
        """Whether the operator is asked before it is done."""
        return self.confirms

    def checks(self, context: Context) -> tuple[Check, ...]:
        """The checks of this action; may raise IdError."""
        return ()

    def meaning(self, context: Context) -> Consequence | None:
        """The consequence of this action; may raise IdError."""
        return None

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        """The agent's method and its parameters; raises IdError for words that `preflight` refuses."""
        return "act", {"action": self.name, "args": dict(context.options)}
