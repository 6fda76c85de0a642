"""Every key of the console in one table: the registry's own, and the shell's for moving about."""

from __future__ import annotations

from dataclasses import dataclass

from somatui.domain.actions import ACTIONS, PANES


@dataclass(frozen=True, slots=True)
class ShellKey:
    """A key that moves about and changes nothing on the chain; `command` is its name on the `:` line and palette."""

    key: str
    shown: str
    command: str
    help: str
    call: str


SHELL_KEYS: tuple[ShellKey, ...] = (
    *(ShellKey(str(n), str(n), pane, f"Go to {pane}.", f"pane('{pane}')") for n, pane in enumerate(PANES, 1)),
    ShellKey("tab", "tab", "next", "Go to the next pane; shift+tab goes back.", "step(1)"),
    ShellKey("shift+tab", "", "", "", "step(-1)"),
    ShellKey("enter", "enter", "open", "Open what is under the cursor.", "detail"),
    ShellKey("escape", "esc", "back", "Back: close a panel, leave a line, clear a filter or a message.", "back"),
    ShellKey("slash", "/", "filter", "Filter the rows of this pane; !word leaves out.", "filter"),
    ShellKey("colon", ":", "", "Type an act with its words, like claim all.", "command"),
    ShellKey("question_mark", "?", "help", "Say what can be done here.", "help"),
    ShellKey("exclamation_mark", "!", "alerts", "Read every alert; the line below shows the worst one.", "alerts"),
    ShellKey("ctrl+p", "ctrl+p", "palette", "Find anything by name.", "command_palette"),
    ShellKey("y", "y", "copy", "Send the id under the cursor to the terminal's clipboard.", "copy_row"),
    ShellKey("v", "v", "qr", "Show the wallet's address as a QR code.", "qr"),
    ShellKey("u", "u", "unlock", "Open the vault with its passphrase, so that the agent can sign.", "unlock"),
    ShellKey("a", "a", "agent", "Start the agent, or the practice network, where it has gone away.", "wake"),
    ShellKey("q", "q", "quit", "Leave the console; the agent and its jobs go on.", "leave"),
)

TABLE_KEYS = (
    ("j k g G", "rows", "A row down or up, as the arrows do; the first row, the last one."),
    ("o O", "sort", "Sort by the next column, turn the order round; a click on a heading does so too."),
)
"""Keys of every table: shown, name, help; the table itself binds them."""


def clashes() -> set[str]:
    """Keys that mean two things; none, as the tests see to."""
    seen: set[str] = set()
    twice: set[str] = set()
    of_tables = [key for shown, _, _ in TABLE_KEYS for key in shown.split()]
    for key in [a.key for a in ACTIONS if a.key] + [k.key for k in SHELL_KEYS] + of_tables:
        (twice if key in seen else seen).add(key)
    return twice
