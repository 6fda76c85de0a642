"""The table: what changed is painted and nothing else; cursor, scroll and order hold still under the reader's eyes."""

from __future__ import annotations

from dataclasses import replace

from somatui.tui.format import cell
from somatui.tui.table import Column, KeyedTable, Row, fit
from tests.tui.frames import framed, lines_painted

COLUMNS = (Column("NAME", 8), Column("SIZE", 6, right=True), Column("NOTE", 10, rank=1, grow=10))


def row(key: str, size: int | None = 1, note: str = "") -> Row:
    return Row(key, (cell(key), cell("–" if size is None else str(size)), cell(note)), (), (key, size, note), key)


def rows(count: int) -> list[Row]:
    return [row(f"r{n:04}", n) for n in range(count)]


def test_the_least_important_columns_go_first_and_what_is_left_over_lets_columns_grow() -> None:
    assert fit(COLUMNS, 16) == ((0, 8), (1, 6))
    assert fit(COLUMNS, 28) == ((0, 8), (1, 6), (2, 10))
    assert fit(COLUMNS, 34) == ((0, 8), (1, 6), (2, 16))
    assert fit(COLUMNS, 99) == ((0, 8), (1, 6), (2, 20))
    assert fit(COLUMNS, 5) == ((0, 8), (1, 6)), "what must stay stays, and is cut at the edge"


async def test_it_shows_headings_and_rows_with_numbers_to_the_right() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=40, height=4) as pilot:
        table.show_rows([row("one", 1, "x"), row("two", 22)])
        await pilot.pause()
        assert pilot.app.text() == "\n".join(
            [
                "NAME        SIZE  NOTE",
                "one            1  x",
                "two           22",
                "",
            ]
        )


async def test_the_same_rows_again_paint_nothing() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        table.show_rows(rows(500))
        assert await lines_painted(pilot, lambda: table.show_rows(rows(500))) == set()


async def test_one_changed_cell_paints_one_line() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        shown = rows(500)
        table.show_rows(shown)
        changed = [*shown[:4], row("r0004", 99), *shown[5:]]
        assert await lines_painted(pilot, lambda: table.show_rows(changed)) == {5}
        assert "r0004         99" in pilot.app.text()


async def test_a_change_that_is_not_in_view_paints_nothing() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        shown = rows(500)
        table.show_rows(shown)
        changed = [*shown[:400], row("r0400", 99), *shown[401:]]
        assert await lines_painted(pilot, lambda: table.show_rows(changed)) == set()


async def test_a_changed_cell_in_a_column_that_is_not_shown_paints_nothing() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=18) as pilot:
        table.show_rows([row("one", 1, "x")])
        assert await lines_painted(pilot, lambda: table.show_rows([row("one", 1, "y")])) == set()


async def test_moving_the_cursor_paints_two_lines() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        table.show_rows(rows(500))
        table.focus()
        assert await lines_painted(pilot, lambda: table.action_move(1)) == {1, 2}


async def test_the_cursor_stays_on_its_key_when_rows_come_and_go_above_it() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        table.show_rows(rows(100))
        table.focus()
        await pilot.press("down", "down", "down")
        assert table.cursor == "r0003"
        table.show_rows([row("a"), row("b"), *rows(100)])
        assert table.cursor == "r0003"
        table.show_rows(rows(100)[2:])
        assert table.cursor == "r0003"


async def test_the_reader_s_view_stays_where_it_is_when_rows_are_added_above() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, height=12) as pilot:
        table.show_rows(rows(100))
        table.focus()
        await pilot.press("end")
        await pilot.press(*["up"] * 20)
        await pilot.pause()
        before = pilot.app.text()
        painted = await lines_painted(pilot, lambda: table.show_rows([row("a"), row("b"), *rows(100)]))
        assert pilot.app.text() == before
        assert painted != set()


async def test_a_row_that_goes_gives_the_cursor_to_the_one_that_takes_its_place() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table) as pilot:
        table.show_rows(rows(5))
        table.focus()
        await pilot.press("down", "down")
        table.show_rows([r for r in rows(5) if r.key != "r0002"])
        assert table.cursor == "r0003"
        table.show_rows([])
        assert table.cursor is None


async def test_pages_first_and_last_row_are_one_key_away() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, height=11) as pilot:
        table.show_rows(rows(100))
        table.focus()
        await pilot.press("pagedown")
        assert table.cursor == "r0009"
        await pilot.press("G")
        assert table.cursor == "r0099"
        assert "r0099" in pilot.app.text()
        await pilot.press("g")
        assert table.cursor == "r0000"
        assert "r0000" in pilot.app.text()


async def test_sorting_is_by_raw_value_with_the_unknown_last_either_way() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=40, height=6) as pilot:
        table.show_rows([row("nine", 9), row("ten", 10), row("none", None)])
        table.focus()
        await pilot.press("o", "o")
        assert table.shown == ("nine", "ten", "none")
        assert table.sort_text == "SIZE ↑"
        await pilot.press("O")
        assert table.shown == ("ten", "nine", "none")
        await pilot.pause()
        assert "SIZE ↓" in pilot.app.text()


async def test_an_arrow_without_room_of_its_own_stands_in_the_gap_and_cuts_no_title() -> None:
    table = KeyedTable((Column("KEY", 3), Column("EPOCH", 5, right=True), Column("NOTE", 10)))
    async with framed(table, width=40, height=4) as pilot:
        table.show_rows([row("one")])
        table.focus()
        for heading in ("KEY↑  EPOCH  NOTE", "KEY  EPOCH↑  NOTE", "KEY  EPOCH  NOTE ↑"):
            await pilot.press("o")
            await pilot.pause()
            found = pilot.app.text().split("\n")[0].rstrip()
            assert " ".join(found.split()) == " ".join(heading.split())
            assert found.index("NOTE") == 12


async def test_after_the_last_column_the_natural_order_returns() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=40) as pilot:
        table.show_rows([replace(row("b"), order=(0,)), replace(row("a"), order=(1,))])
        table.focus()
        await pilot.press("o")
        assert table.shown == ("a", "b")
        await pilot.press("o", "o", "o")
        assert table.shown == ("b", "a")
        assert table.sort_text == ""


async def test_a_filter_keeps_what_matches_every_word_and_not_what_is_refused() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table):
        table.show_rows([replace(row(k), words=w) for k, w in (("a", "open mine"), ("b", "open"), ("c", "filled"))])
        table.set_filter("OPEN")
        assert table.shown == ("a", "b")
        table.set_filter("open !mine")
        assert table.shown == ("b",)
        table.set_filter("")
        assert table.shown == ("a", "b", "c")


async def test_a_filter_that_finds_nothing_says_how_to_leave_it() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, height=3) as pilot:
        table.show_rows(rows(3))
        table.set_filter("zebra")
        await pilot.pause()
        assert "Nothing matches “zebra”: esc shows all." in pilot.app.text()


async def test_no_rows_are_a_sentence_and_never_an_empty_box() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=30, height=4) as pilot:
        table.show_rows([], "Nothing here yet. Press t to train a model.")
        await pilot.pause()
        assert pilot.app.text().split("\n")[:2] == ["Nothing here yet. Press t to", "train a model."]
        assert (
            await lines_painted(pilot, lambda: table.show_rows([], "Nothing here yet. Press t to train a model."))
            == set()
        )
        table.show_rows(rows(1))
        await pilot.pause()
        assert "r0000" in pilot.app.text()


async def test_a_click_chooses_a_row_and_a_click_on_a_heading_sorts() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=40) as pilot:
        table.show_rows(rows(5))
        await pilot.click(table, offset=(2, 3))
        assert table.cursor == "r0002"
        await pilot.click(table, offset=(12, 0))
        assert table.sort_text == "SIZE ↑"
        await pilot.click(table, offset=(12, 0))
        assert table.sort_text == "SIZE ↓"


async def test_a_cell_too_long_for_its_column_says_that_it_goes_on() -> None:
    table = KeyedTable(COLUMNS)
    async with framed(table, width=18, height=3) as pilot:
        table.show_rows([row("a name that is long")])
        await pilot.pause()
        assert "a name …" in pilot.app.text()
