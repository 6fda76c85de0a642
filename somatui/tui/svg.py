"""Pictures of a terminal as files: Textual's SVG made to stand alone, the same as PNG, and a transcript as either.

For `screenshots.py` only; the console never loads it. PNG needs the `dev` extra (cairosvg).
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

FONTS = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"
SCALE = 1.25

_FONT_FACES = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_FAMILY = re.compile(r"font-family: Fira Code[^;]*;")
_TITLE_FAMILY = re.compile(r"font-family: arial;")
_RUN = re.compile(r'(<text [^>]*?)x="([\d.]+)"([^>]*?)textLength="([\d.]+)"([^>]*>)([^<]*)(</text>)')


def standalone(svg: str) -> str:
    """The picture without fonts from elsewhere: the reader's own monospaced ones draw it."""
    plain = _COMMENT.sub("", _FONT_FACES.sub("", svg))
    return _TITLE_FAMILY.sub("font-family: sans-serif;", _FAMILY.sub(f"font-family: {FONTS};", plain))


def on_grid(svg: str) -> str:
    """The picture with a place for every character, so that a renderer with another font keeps the columns."""

    def place(found: re.Match[str]) -> str:
        head, x, middle, length, tail, text, end = found.groups()
        characters = html.unescape(text)
        step = float(length) / max(1, len(characters))
        places = " ".join(f"{float(x) + n * step:.2f}" for n in range(len(characters)))
        return f'{head}x="{places}"{middle}{tail}{text}{end}'

    return _RUN.sub(place, svg)


def to_png(svg: str) -> bytes:
    """The picture as PNG, drawn with the machine's own monospaced font.

    Raises:
        ImportError: the `dev` extra is not installed.
    """
    import cairosvg

    drawn = on_grid(svg.replace(FONTS, "monospace"))
    return bytes(cairosvg.svg2png(bytestring=drawn.encode(), scale=SCALE))


def transcript(text: str, title: str, width: int = 80) -> str:
    """What a command printed, as a picture of the terminal it was printed on."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text))
    return standalone(console.export_svg(title=title))


def save(svg: str, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `name.svg` and `name.png`; gives both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    picture, pixels = folder / f"{name}.svg", folder / f"{name}.png"
    picture.write_text(svg, encoding="utf-8")
    pixels.write_bytes(to_png(svg))
    return picture, pixels
