"""Tables and prose fit the width that COLUMNS or the terminal says."""

import os
import pty
import shlex

import pytest
from rich.cells import cell_len

from zslbench.tables.notes import Note, note_lines
from zslbench.tables.widths import Need, console_width, filled, fitted, shell_lines, wrapped
from zslbench.tables.writer import Column, columns, table_text

HEADERS = ("method", "top-1 %", "summary", "package")
ROWS = [["ridge", "20.1", "linear regression from mean features to class vectors", "zslbench 0.2.0"],
        ["a-method-of-a-long-name [simulated]", "9.5", "word " * 40, "zslbench 0.2.0"]]  # fmt: skip


@pytest.fixture
def table(monkeypatch):
    def render(width, rows=ROWS, **options):
        if width:
            monkeypatch.setenv("COLUMNS", str(width))
        given = columns(HEADERS, **({"right": ["top-1 %"], "drop": ["package", "summary"]} | options))
        return table_text("console", given, rows)

    return render


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_is_wider_than_columns_says(table, width):
    assert max(map(cell_len, table(width).splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80])
def test_wide_characters_and_long_words_are_folded_too(table, width):
    rows = [["動作認識" * 20, "1.0", "x" * 200, "y"]]
    assert max(map(cell_len, table(width, rows, drop=()).splitlines())) <= width


def test_text_is_folded_before_a_column_is_left_out_and_figures_stay_whole(table):
    text = table(100)
    assert "Not shown" not in text
    assert "zslbench 0.2.0" in text
    assert {"20.1", "9.5"} <= set(text.split())


def test_columns_are_left_out_in_their_order_and_a_line_names_them(table):
    (line,) = (line for line in table(80, least={"summary": 40}).splitlines() if line.startswith("Not shown"))
    assert line == "Not shown: package (all in 88 columns, or with | less -S)."
    assert "Not shown" not in table(88, least={"summary": 40})
    assert "Not shown: summary, package" in table(40, least={"summary": 40})


def test_a_pipe_without_columns_gets_every_column_in_one_line_per_row(table):
    text = table(None)
    assert len(text.splitlines()) == 2 + len(ROWS)
    assert "Not shown" not in text


def test_other_formats_ignore_the_width(table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for fmt in ("markdown", "latex", "html"):
        assert "mean features to class vectors" in table_text(fmt, columns(HEADERS, drop=["summary"]), ROWS)


def test_the_least_width_of_a_column_makes_others_go_first():
    assert fitted([Need(10, 10, 0), Need(90, 40, 0), Need(12, 12, 1)], 60) == {0: 10, 1: 48}
    assert fitted([Need(10, 10, 0), Need(90, 40, 0)], 20) == {0: 9, 1: 9}  # nothing may be left out: both are folded


def test_the_width_is_that_of_columns_or_of_the_terminal_or_none(monkeypatch):
    assert console_width() is None
    for said in ("", "0", "wide", "-3"):
        monkeypatch.setenv("COLUMNS", said)
        assert console_width() is None
    monkeypatch.setenv("COLUMNS", "100")
    assert console_width() == 100
    monkeypatch.delenv("COLUMNS")
    first, second = pty.openpty()
    with os.fdopen(second, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        os.set_blocking(first, False)
        import fcntl
        import struct
        import termios

        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
        assert console_width() == 90
    monkeypatch.setattr("sys.stdout", None)
    assert console_width() is None
    os.close(first)


def test_prose_is_wrapped_with_its_indent_and_long_words_stay_whole(monkeypatch):
    path = "/" + "x" * 60
    assert wrapped("  " + "word " * 30) == "  " + "word " * 30
    monkeypatch.setenv("COLUMNS", "50")
    lines = wrapped("  see: " + "word " * 12 + path).splitlines()
    assert [line[:6] for line in lines] == ["  see:", "    wo", f"    {path[:2]}"]
    assert filled("word " * 12, "* ", "  ").splitlines()[1].startswith("  word")


def test_a_shell_joins_the_lines_of_a_command_to_the_same_words(monkeypatch):
    command = (
        "zslbench run --method 'ridge:a b' --set 'ridge.alpha=1, 2' --without-overlap --family 'k400->ucf101/lists' x y"
    )
    for width in (40, 60, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = shell_lines(command, "  ").splitlines()
        assert max(map(len, lines)) <= width
        assert shlex.split(" ".join(line.removesuffix("\\") for line in lines)) == shlex.split(command)
        assert any("--family 'k400->ucf101/lists'" in line for line in lines)


def test_a_console_prints_short_notes_and_whole_ones_on_request():
    notes = [Note("A long explanation."), Note("A warning in full.", "A warning.")]
    assert note_lines("console", notes) == ["A warning."]
    assert note_lines("console", notes, explain=True) == ["A long explanation.", "A warning in full."]
    assert note_lines("markdown", notes) == ["* A long explanation.", "* A warning in full."]


def test_a_column_keeps_its_widest_lines_even_if_it_may_be_wider():
    text = table_text("console", [Column("what", str, width=9)], ["one two three"])
    assert text.splitlines() == ["what", "-------", "one two", "three"]
