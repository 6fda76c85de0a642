"""The wallet's address as a QR code, whole on a terminal of 80 by 24, with its digits beside it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from somatui.domain.halfblocks import half_blocks
from somatui.domain.snapshot import WalletView
from somatui.tui.code import modules
from somatui.tui.screens.panel import Panel

LETTERS_IN_A_ROW = 22


class QrScreen(Panel[None]):
    """An address to be read by another device."""

    width = 80
    foot_text = "esc back"

    DEFAULT_CSS = """
    QrScreen #frame { padding: 0 1; height: auto; max-height: 100%; }
    QrScreen #code { width: auto; height: auto; color: #000000; background: #ffffff; }
    QrScreen #beside { width: 1fr; height: auto; padding: 1 0 0 2; }
    """

    def __init__(self, wallet: WalletView) -> None:
        super().__init__()
        self.title_text = f"Address of {wallet.label}" if wallet.label else "Address"
        self._address = f"0x{wallet.address}"
        self._watched = wallet.watch_only

    def compose(self) -> ComposeResult:
        """The code, and beside it what it says."""
        frame = Horizontal(
            Static(Content("\n".join(half_blocks(modules(self._address)))), id="code"), Static(id="beside"), id="frame"
        )
        frame.can_focus = True
        yield self.titled(frame)

    def follow(self) -> None:
        """Say what is beside the code."""
        digits, row = self._address, LETTERS_IN_A_ROW
        lines = [digits[n : n + row] for n in range(0, len(digits), row)]
        told = ["Coins sent here are this", "wallet's. It is public."]
        told += ["", "Only watched: no key of", "it is here."] if self._watched else []
        self.query_one("#beside", Static).update(
            Content.assemble(*[(f"{line}\n", "bold") for line in lines], ("\n" + "\n".join(told), "$muted"))
        )
