"""The consequence before the act: cost, what is locked and at stake, the checks, the fee as the node tried it.

The focus is on cancel; y goes ahead, or a typed word where the registry asks for one.
"""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from somatui.agent.client import AgentError, AgentGone
from somatui.domain.actions import Action, Context
from somatui.domain.checks import Check, Consequence, refusal
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.tui.format import wrapped
from somatui.tui.link import Link
from somatui.tui.screens.panel import Panel, rows

MOST_CHECKS = 8
LABEL = 10


class Choice(Static, can_focus=True):
    """A word that can be chosen with enter or a click."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "choose", show=False)]

    def __init__(self, text: str, call: str, *, id: str) -> None:
        super().__init__(text, id=id, markup=False)
        self._call = call

    async def action_choose(self) -> None:
        """Do it."""
        await self.run_action(self._call)

    async def on_click(self) -> None:
        """The same with the mouse."""
        await self.action_choose()


class ConfirmScreen(Panel[bool]):
    """One act in full. Closes with True to go ahead, and with False or None to leave it."""

    AUTO_FOCUS = "#word, #cancel"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "agree", show=False),
        Binding("n,q,escape", "cancel", show=False),
        Binding("left,right", "other", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
    ]

    def __init__(self, action: Action, context: Context, link: Link, params: dict[str, Any]) -> None:
        super().__init__()
        self._action = action
        self._where = context
        self._link = link
        self._params = params
        self._consequence = action.consequence(context) or Consequence(action.name.capitalize(), action.help())
        self._checks = action.preflight(context)
        self._fee = (soma_exact(self._consequence.fee_shannons), "the node is trying it…")
        self._refused = ""
        self._on_chain = "action" in params
        self._tried = not self._on_chain
        self._agreed = False
        self.title_text = self._consequence.title
        self.foot_text = ""

    def compose(self) -> ComposeResult:
        """The text, and below it, wherever that is scrolled to, the two ways out of it."""
        word = self._consequence.typed_word
        with self.titled(VerticalScroll(id="frame", can_focus=False)):
            yield Static(id="text")
            with Vertical(id="choice"):
                if word:
                    typed = Input(compact=True, placeholder=f"type {word} and enter to go ahead", id="word")
                    typed.cursor_blink = False
                    yield typed
                with Horizontal(id="ways"):
                    yield Choice("[ Cancel ]", "screen.cancel", id="cancel")
                    if not word:
                        yield Choice(f" y  {self._action.name.capitalize()} ", "screen.agree", id="agree")

    def on_mount(self) -> None:
        """Show what is known and have the node try it."""
        self.follow()
        if self._on_chain:
            self.run_worker(self._try(), exit_on_error=False)

    async def _try(self) -> None:
        estimate = soma_exact(self._consequence.fee_shannons)
        try:
            seen = await self._link.call("preview", action=self._params["action"], args=self._params["args"])
        except (AgentError, AgentGone, OSError) as failure:
            self._refused = str(failure)
        else:
            self._refused = str(seen.get("refused") or "")
            checks = tuple(Check(bool(c["ok"]), str(c["text"])) for c in seen.get("checks") or ())
            self._checks = checks or self._checks
            self._fee = self._fee_of(seen.get("simulated"), estimate)
            self._refused = self._refused or refusal(self._checks) or ""
        if self._refused:
            self._fee = (estimate, "estimated")
        self._tried = True
        self.follow()
        if self._agreed and not self._refused:
            self.dismiss(True)

    def _fee_of(self, simulated: dict[str, Any] | None, estimate: str) -> tuple[str, str]:
        if not simulated:
            return estimate, "by the chain's rules"
        if simulated.get("error"):
            self._refused = f"The node refuses it: {simulated['error']}"
            return estimate, "estimated"
        return soma_exact(int(simulated.get("fee_shannons") or 0)), "tried by the node"

    def follow(self) -> None:
        """Say it all."""
        said, snapshot, room = self._consequence, self._where.snapshot, self.room
        facts = [
            ("network", snapshot.network.words, f"bold $network-{snapshot.network.standing}"),
            ("wallet", snapshot.wallet.label or short(snapshot.wallet.address), ""),
        ]
        if self._on_chain:
            facts.append(("fee", f"{self._fee[0]} SOMA  {self._fee[1]}", ""))
        amounts = (
            ("spends", said.spends_shannons), ("locks", said.locks_shannons), ("brings", said.gains_shannons),
        )  # fmt: skip
        facts += [(n, f"{soma_exact(v)} SOMA", "$good" if n == "brings" else "") for n, v in amounts if v]
        if said.at_stake_text:
            facts.append(("at stake", "\n".join(wrapped(said.at_stake_text, room - LABEL)), "$warn"))
        if said.irreversible:
            facts.append(("undo", "cannot be undone", ""))
        lines = [*(Content(line) for line in wrapped(said.effect, room)), Content(""), rows(facts), Content("")]
        lines += self._check_lines(room)
        if self._refused:
            lines += [Content.assemble((line, "bold $bad")) for line in wrapped(self._refused, room)]
        elif self._agreed and not self._tried:
            lines.append(Content.assemble(("Agreed: it goes as soon as the node has tried it.", "$accent")))
        self.put(Content("\n").join([*lines, Content("")]))

    def _check_lines(self, room: int) -> list[Content]:
        failed = [c for c in self._checks if not c.ok and c.text != self._refused]
        held = [c for c in self._checks if c.ok]
        shown = [*failed, *held[-MOST_CHECKS:]]
        lines: list[Content] = []
        for check in shown:
            first, *rest = wrapped(check.text, room - 2)
            lines.append(Content.assemble(("✓ ", "$good") if check.ok else ("✗ ", "bold $bad"), first))
            lines += [Content(f"  {line}") for line in rest]
        more = len(held) - MOST_CHECKS
        if more > 0:
            lines.append(Content.assemble(("✓ ", "$good"), (f"and {more} more", "$muted")))
        return lines

    def action_agree(self) -> None:
        """Go ahead, once the node has tried it and nothing stands against it."""
        if self._consequence.typed_word and not self._agreed:
            return
        self._agreed = True
        if self._tried and not self._refused:
            self.dismiss(True)
        else:
            self.follow()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The typed word, and nothing else, goes ahead."""
        if event.value.strip() == self._consequence.typed_word:
            self._agreed = True
            self.action_agree()

    def action_cancel(self) -> None:
        """Leave it, whatever was agreed to before."""
        self._agreed = False
        self.dismiss(False)

    def action_other(self) -> None:
        """From one way out to the other."""
        self.focus_next()

    def action_move(self, lines: int) -> None:
        """Scroll the text where it does not fit."""
        self.query_one("#frame").scroll_relative(y=lines, animate=False)
