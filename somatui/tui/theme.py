"""The sets of colours as Textual's themes, dark, light and ansi; no widget names a colour itself."""

from __future__ import annotations

from textual.app import App
from textual.theme import Theme

from somatui.tui.colours import TABLES

BASE = ("primary", "foreground", "background", "panel")


def _theme(name: str, colours: dict[str, str]) -> Theme:
    return Theme(
        name=name,
        primary=colours["primary"],
        secondary=colours["money"],
        accent=colours["primary"],
        warning=colours["warn"],
        error=colours["bad"],
        success=colours["good"],
        foreground=colours["foreground"],
        background=colours["background"],
        surface=colours["background"],
        panel=colours["panel"],
        boost=colours["panel"],
        dark=name != "light",
        ansi=name == "ansi",
        variables={key: value for key, value in colours.items() if key not in BASE},
    )


THEMES: dict[str, Theme] = {name: _theme(name, colours) for name, colours in TABLES.items()}


def ink(app: App[object], name: str) -> str:
    """The theme's colour `name` as Rich writes it, for cells that are Rich text; right under ansi too."""
    value = app.theme_variables[name]
    return value.removeprefix("ansi_")
