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
    time = f"  {line.ms} ms" if line.ms and line.status == "ok" else ""
    head = f" {name:<{wide}}  "
    width = max(16, room - len(head) - 1)
    first, *rest = textwrap.wrap(text, width) or [""]
    ink = "" if line.status in ("ok", "skipped") else tone.removeprefix("bold ")
    lines = [Content.assemble((glyph, tone), (head, ""), (first, ink))]
    lines += [Content.assemble((" " * (len(head) + 1), ""), (more, ink)) for more in rest]
    if len((rest or [first])[-1]) + len(time) <= width:
        lines[-1] = Content.assemble(lines[-1], (time, "$muted"))
    return lines
