"""Pictures stand alone, every character in its column, and the console never loads what makes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from somatui.tui.svg import on_grid, save, to_png, transcript

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_transcript_becomes_a_picture_that_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    svg = transcript("$ somatui practice run\n  0.1 s  \x1b[32m✓\x1b[0m ready", "somatui practice run", width=40)
    assert "ready" in svg and "somatui&#160;practice&#160;run" in svg
    assert "font-face" not in svg
    assert re.findall(r"https?://(?!www\.w3\.org)\S+", svg) == []
    picture, pixels = save(svg, tmp_path / "new", "run")
    assert picture.read_text(encoding="utf-8") == svg
    assert pixels.read_bytes().startswith(PNG)


def test_every_character_has_its_own_place() -> None:
    run = '<text class="r1" x="12.2" y="20" textLength="36.6" clip-path="url(#a)">a&#160;│</text>'
    assert on_grid(run) == '<text class="r1" x="12.20 24.40 36.60" y="20"  clip-path="url(#a)">a&#160;│</text>'


def test_a_picture_of_the_same_thing_is_the_same() -> None:
    assert to_png(transcript("one", "t")) == to_png(transcript("one", "t"))


def test_the_console_never_loads_the_picture_maker() -> None:
    program = (
        "import sys; from somatui.tui import console; from somatui.tui.screens.home import PANE_TYPES, make_pane;"
        "[make_pane(n) for n in PANE_TYPES];"
        "print([m for m in ('cairosvg', 'somatui.tui.svg', 'somatui.tui.screenshots', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
