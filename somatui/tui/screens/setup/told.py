"""What a check found, in lines: glyph and colour, name, finding with its time, and the cure of what is not well."""

from __future__ import annotations

import textwrap

from textual.content import Content

from somatui.domain.report import Line, Report, Status

GLYPHS: dict[Status, tuple[str, str]] = {
    "ok": ("✓", "$good"),
    "warn": ("!", "bold $warn"),
    "bad": ("✗", "bold $bad"),
    "skipped": ("–", "$muted"),
}
WIDEST_NAME = 18


def told(report: Report, room: int) -> list[Content]:
    """The report in lines of at most `room` cells; repeated names are said once."""
    wide = min(WIDEST_NAME, max((len(line.name) for line in report.lines), default=0))
    lines: list[Content] = []
    before = ""
    for line in report.lines:
        name = "" if line.name == before and line.status == "ok" else line.name
        lines += _line(line, name, wide, room)
        before = line.name
    return lines


def _line(line: Line, name: str, wide: int, room: int) -> list[Content]:
    glyph, tone = GLYPHS[line.status] if name else (" ", "")
    text = line.sentence if line.cure else line.detail
    if line.ms:
        text = f"{text}  {line.ms} ms" if line.status == "ok" else text
    head = f" {name:<{wide}}  "
    first, *rest = textwrap.wrap(text, max(16, room - len(head) - 1)) or [""]
    ink = "" if line.status in ("ok", "skipped") else tone.removeprefix("bold ")
    told_lines = [Content.assemble((glyph, tone), (head, ""), (first, ink))]
    return told_lines + [Content.assemble((" " * (len(head) + 1), ""), (more, ink)) for more in rest]
