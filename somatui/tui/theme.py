"""The three sets of colours, dark, light and ansi, under one set of names; no widget names a colour itself."""

from __future__ import annotations

from textual.app import App
from textual.theme import Theme

_ANSI = {
    "good": "ansi_green",
    "warn": "ansi_yellow",
    "bad": "ansi_red",
    "muted": "ansi_bright_black",
    "money": "ansi_cyan",
    "network-practice": "ansi_magenta",
    "network-localnet": "ansi_blue",
    "network-testnet": "ansi_green",
    "network-custom": "ansi_yellow",
    "network-main": "ansi_red",
    "on-network": "ansi_bright_white",
    "stale": "ansi_yellow",
    "border-blurred": "ansi_bright_black",
    "block-cursor-foreground": "ansi_black",
    "block-cursor-background": "ansi_white",
    "input-cursor-background": "ansi_white",
    "input-cursor-foreground": "ansi_black",
}
_DARK = {
    "good": "#7ec699",
    "warn": "#e5c07b",
    "bad": "#ef7b7b",
    "muted": "#8a93a3",
    "money": "#7cc7d9",
    "network-practice": "#b267d6",
    "network-localnet": "#3d7fb5",
    "network-testnet": "#2f8f5b",
    "network-custom": "#8f7a2f",
    "network-main": "#c0392b",
    "on-network": "#ffffff",
    "stale": "#e5c07b",
    "border-blurred": "#3b4252",
    "footer-key-foreground": "#88b7e6",
    "block-cursor-foreground": "#0f1319",
    "block-cursor-background": "#88b7e6",
    "block-cursor-text-style": "none",
    "block-cursor-blurred-background": "#262d38",
    "block-cursor-blurred-foreground": "#d8dee9",
    "block-cursor-blurred-text-style": "none",
}
_LIGHT = {
    "good": "#1f7a3f",
    "warn": "#8a5a00",
    "bad": "#b3261e",
    "muted": "#5f6875",
    "money": "#0b6a82",
    "network-practice": "#8e3bb8",
    "network-localnet": "#1d5f96",
    "network-testnet": "#1f7a3f",
    "network-custom": "#7a5f00",
    "network-main": "#b3261e",
    "on-network": "#ffffff",
    "stale": "#8a5a00",
    "border-blurred": "#c3c9d2",
    "footer-key-foreground": "#1d5f96",
    "block-cursor-foreground": "#ffffff",
    "block-cursor-background": "#1d5f96",
    "block-cursor-text-style": "none",
    "block-cursor-blurred-background": "#dfe4ea",
    "block-cursor-blurred-foreground": "#1c2128",
    "block-cursor-blurred-text-style": "none",
}

THEMES: dict[str, Theme] = {
    "dark": Theme(
        name="dark", primary="#88b7e6", secondary="#7cc7d9", accent="#88b7e6", warning="#e5c07b", error="#ef7b7b",
        success="#7ec699", foreground="#d8dee9", background="#0f1319", surface="#0f1319", panel="#1a2029",
        dark=True, variables=_DARK,
    ),
    "light": Theme(
        name="light", primary="#1d5f96", secondary="#0b6a82", accent="#1d5f96", warning="#8a5a00", error="#b3261e",
        success="#1f7a3f", foreground="#1c2128", background="#fbfcfd", surface="#fbfcfd", panel="#e9edf2",
        dark=False, variables=_LIGHT,
    ),
    "ansi": Theme(
        name="ansi", ansi=True, primary="ansi_blue", secondary="ansi_cyan", accent="ansi_blue",
        warning="ansi_yellow", error="ansi_red", success="ansi_green", foreground="ansi_default",
        background="ansi_default", surface="ansi_default", panel="ansi_default", boost="ansi_default",
        variables=_ANSI,
    ),
}  # fmt: skip


def ink(app: App[object], name: str) -> str:
    """The theme's colour `name` as Rich writes it, for cells that are Rich text; right under ansi too."""
    value = app.theme_variables[name]
    return value.removeprefix("ansi_")
