"""Opens the vault: its passphrase, shown nowhere, goes to the agent, and what the agent says of it is shown here."""

from __future__ import annotations

import textwrap

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from somatui.agent.client import AgentError, AgentGone
from somatui.hardening import harden_process
from somatui.tui.link import Link
from somatui.tui.screens.panel import Panel

ABOUT = "Until the vault is open nothing is signed: no claim, no submission, and no reveal that falls due."


class UnlockScreen(Panel[bool]):
    """Closes with True when the vault is open."""

    AUTO_FOCUS = "#word"
    title_text = "Open the vault"
    foot_text = "enter open   esc back"

    def __init__(self, link: Link) -> None:
        super().__init__()
        harden_process()
        self._link = link
        self._said: tuple[str, str] = ("", "")

    def compose(self) -> ComposeResult:
        """What for, the passphrase, what came of it."""
        typed = Input(compact=True, password=True, placeholder="the vault's passphrase", id="word")
        typed.cursor_blink = False
        yield self.titled(VerticalScroll(Static(id="text"), typed, id="frame", can_focus=False))

    def follow(self) -> None:
        """Say it."""
        text, tone = self._said
        lines = [Content(line) for line in textwrap.wrap(ABOUT, self.room)]
        lines += [Content.assemble((line, tone)) for line in textwrap.wrap(text, self.room)]
        self.put(Content("\n").join([*lines, Content("")]))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Try it, once at a time."""
        event.stop()
        if event.value and not event.input.disabled:
            passphrase, event.input.value, event.input.disabled = event.value, "", True
            self._say("The agent tries it…", "$accent")
            self.run_worker(self._try(passphrase, event.input), exit_on_error=False)

    async def _try(self, passphrase: str, typed: Input) -> None:
        try:
            await self._link.call("vault.unlock", passphrase=passphrase)
        except (AgentError, AgentGone, OSError) as failure:
            self._say(str(failure), "bold $bad")
            typed.disabled = False
            typed.focus()
        else:
            self.dismiss(True)

    def _say(self, text: str, tone: str) -> None:
        self._said = (text, tone)
        self.follow()
