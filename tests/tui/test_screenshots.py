"""The pictures are taken from whatever agent answers: the console itself, four times, as SVG and PNG."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.paths import Paths
from somatui.tui.screenshots import NotShown, take
from tests.tui.serve import serving


@pytest.mark.slow
async def test_home_targets_and_a_confirm_panel_are_pictured(tmp_path: Path) -> None:
    paths = Paths.for_profile("practice", tmp_path / "home").create()
    async with serving(paths):
        await take(paths, tmp_path / "out", "dark")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    taken = ("confirm", "home", "scoring", "targets")
    assert names == [f"{name}.{kind}" for name in taken for kind in ("png", "svg")]
    confirm, home, scoring, targets = ((tmp_path / "out" / f"{n}.svg").read_text("utf-8") for n in taken)
    assert all("PRACTICE" in svg for svg in (home, targets, confirm))
    assert "5&#160;Jobs" in home and "Targets" in targets
    assert "scored" in scoring and "scored" not in targets
    assert "Cancel" in confirm and "trying" not in confirm


@pytest.mark.slow
async def test_a_state_on_which_nothing_can_be_done_has_no_panel_to_show(tmp_path: Path) -> None:
    from tests.tui.pictures import nothing

    paths = Paths.for_profile("practice", tmp_path / "home").create()
    async with serving(paths, nothing()):
        with pytest.raises(NotShown, match="no panel to show"):
            await take(paths, tmp_path / "out", "dark")
