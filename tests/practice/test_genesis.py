"""A network whose models cannot be made says why in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from somatui.practice.card import ServeError, parse_ports
from somatui.practice.serve import serve

WORKERS: list[tuple[str, str]] = [
    ("""print('{"kind":"failed","error":"The corpus is empty: name another."}'); raise SystemExit(1)""",
     "The corpus is empty: name another"),
    ("""print('{"kind":"failed","error":"see its log"}', flush=True); raise ImportError("no module named torch")""",
     "ImportError: no module named torch"),
    ("import sys; sys.exit('cannot open shared object')", "cannot open shared object"),
    ("import os; os.kill(os.getpid(), 9)", "it was ended by signal 9"),
    ("pass", "it ended with status 0 and no models"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "cause"), WORKERS, ids=[cause for _, cause in WORKERS])
async def test_a_failed_seeding_is_told_with_its_cause(tmp_path: Path, code: str, cause: str) -> None:
    (tmp_path / "seed.log").write_text("an older failure\n")
    with pytest.raises(ServeError) as refused:
        await serve(tmp_path, ports=parse_ports("free"), seed_worker=[sys.executable, "-c", code])
    assert str(refused.value) == (
        f"The network's models could not be trained ({cause}): cure that and start again."
    )  # fmt: skip
