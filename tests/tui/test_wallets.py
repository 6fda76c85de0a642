"""Wallets in the console: which one is in use, another one by the `:` line, the address as a QR code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import segno

from somatui.domain.actions import by_name
from somatui.domain.halfblocks import QUIET, half_blocks
from somatui.domain.snapshot import Snapshot, WalletName
from somatui.paths import Paths
from somatui.tui.commandline import parse
from somatui.tui.keys import SHELL_KEYS
from tests.domain.worlds import ME, OTHER
from tests.tui.consoles import console
from tests.tui.serve import busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def two_wallets(**changes: object) -> Snapshot:
    world = busy()
    wallet = replace(world.wallet, others=(WalletName(OTHER, "ops-2"), WalletName("cc" * 32, "cold", True)), **changes)  # type: ignore[arg-type]
    return replace(world, wallet=wallet, jobs=(), duties=())


def matrix_of(lines: list[str]) -> list[list[int]]:
    """The modules that half blocks show, quiet zone cut off."""
    rows: list[list[int]] = []
    for line in lines:
        rows += [[int(c in "█▀") for c in line], [int(c in "█▄") for c in line]]
    size = len(lines[0]) - 2 * QUIET
    return [row[QUIET : QUIET + size] for row in rows[QUIET : QUIET + size]]


def test_half_blocks_are_the_code_and_nothing_else() -> None:
    code = segno.make("0x" + ME, error="l", micro=False)
    lines = half_blocks(code.matrix)
    assert matrix_of(lines) == [[int(m) for m in row] for row in code.matrix]
    assert {len(line) for line in lines} == {41} and len(lines) == 21
    turned = half_blocks(code.matrix, light_on_dark=True)
    assert matrix_of(turned) == [[1 - int(m) for m in row] for row in code.matrix]


def test_the_commands_of_the_command_line_are_understood_here() -> None:
    typed = parse("wallet use ops-2")
    assert (typed.what, typed.words) == (by_name("use"), ("ops-2",))
    assert parse("targets claim all").words == ("all",)
    assert parse("wallet").what is next(k for k in SHELL_KEYS if k.command == "wallet")


async def test_another_wallet_comes_into_use_after_a_question(paths: Paths) -> None:
    async with console(paths, two_wallets()) as c:
        c.agent.answers["wallet.use"] = {"address": OTHER, "label": "ops-2"}
        await c.press("colon")
        await c.type("wallet use ops-2")
        await c.shows("ops-2 is read and signed for from now on; ops-1 stays as it is")
        panel = c.flat.partition("─ Use ops-2 ")[2].partition("y Use")[0]
        assert panel and "fee" not in panel and not c.agent.calls("preview")
        await c.press("y")
        await c.until(lambda: c.agent.calls("wallet.use"), "the call")
        assert c.agent.calls("wallet.use") == [{"address": OTHER, "anyway": True}]
        await c.shows("Use ops-2: done, label ops-2.")


async def test_w_says_which_wallets_there_are(paths: Paths) -> None:
    async with console(paths, two_wallets()) as c:
        await c.press("w")
        await c.shows("other wallet: Say which one, as in :wallet use ops-2; there are ops-2, cold.")


async def test_the_pane_shows_label_and_that_a_wallet_is_only_watched(paths: Paths) -> None:
    async with console(paths, two_wallets(watch_only=True)) as c:
        await c.shows("ops-1 aaaa…aaaa ○ watching only and 2 more: w")
        await c.press("enter")
        await c.shows("other wallet ops-2 0xbbbb")


async def test_the_address_is_a_code_that_fits_the_smallest_terminal(paths: Paths) -> None:
    async with console(paths, two_wallets()) as c:
        await c.press("v")
        await c.shows("Address of ops-1")
        rows = c.screen.split("\n")
        lines = half_blocks(segno.make("0x" + ME, error="l", micro=False).matrix)
        drawn = [line for line in lines if line.strip()]
        at = next(n for n, row in enumerate(rows) if drawn[0] in row)
        assert [line in row for line, row in zip(drawn, rows[at:], strict=False)] == [True] * len(drawn)
        shown = c.flat.replace(" ", "")
        assert all(part in c.flat for part in ("0x" + ME[:20], ME[20:42], ME[42:])), shown
        await c.press("escape")
        await c.until(lambda: c.app.screen is c.app.home, "home again")


async def test_without_a_wallet_there_is_no_code(paths: Paths) -> None:
    async with console(paths, two_wallets(address="")) as c:
        await c.press("v")
        await c.shows("no address to show")


def test_the_qr_library_waits_until_it_is_asked_for() -> None:
    code = "import somatui.tui.console, somatui.tui.screens.qr, sys, json; print(json.dumps('segno' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert json.loads(done.stdout) is False
