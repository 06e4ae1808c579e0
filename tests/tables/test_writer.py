"""One table, in every format that is written for people."""

import csv
import doctest
import io
import json
import math
import re

import pytest

from zslbench.tables import writer
from zslbench.tables.writer import Column, Shown, columns, csv_text, escape, listed, table_text, without_nan

pytestmark = pytest.mark.versions

FORMATS = ("console", "markdown", "latex", "html")
NASTY = r"a|b *_<>`[x]\ &%$#{}~^"
COLUMNS = [Column("class", lambda row: row[0], width=12), Column("top-\n1\n%", lambda row: row[1], "right")]


def table(fmt, *rows):
    return table_text(fmt, COLUMNS, rows)


def test_a_console_keeps_breaks_of_headers_and_wraps_a_wide_cell():
    lines = table("console", ("one two three four", 5)).splitlines()
    assert [line.split() for line in lines[:3]] == [["class", "top-"], ["1"], ["%"]]
    assert [line.split() for line in lines[4:]] == [["one", "two", "5"], ["three", "four"]]
    assert lines[1].endswith("   1")  # aligned to the right


def test_a_very_long_name_loses_its_middle_on_a_console_only():
    name = "first" + 300 * "-" + "last"
    made = {fmt: table_text(fmt, columns(["class"]), [[name], ["jump"]]) for fmt in FORMATS}
    assert max(map(len, made["console"].splitlines())) <= 120
    assert re.search(r"^first-+\.\.\.-+last$", made["console"], re.M)
    assert all(name in made[fmt] for fmt in ("markdown", "html"))
    assert name in csv_text([{"class": name}])


def test_markdown_means_what_the_cells_say():
    header, _, row = table("markdown", (NASTY, Shown("9 %", 9))).splitlines()
    assert [text.strip() for text in header.strip("|").split("|")] == ["class", "top1 %"]
    assert r"a\|b \*\_\<\>\`\[x\]\\ &%$#{}~^" in row
    assert row.rstrip("|").endswith(" 9 % ")


@pytest.mark.parametrize("fmt", ["markdown", "latex", "html"])
def test_a_break_in_a_cell_does_not_end_its_row(fmt):
    assert table(fmt, ("a\nb", 1)).count("\n") == table(fmt, ("a b", 1)).count("\n")


def test_latex_has_no_special_character_unescaped():
    row = table("latex", (NASTY, None)).splitlines()[-3]
    assert r"a|b *\_\ensuremath{<}\ensuremath{>}`[x]\textbackslash{} \&\%\$\#\{\}\textasciitilde{}\^{}" in row


@pytest.mark.parametrize("text", ["[simulated]", "* ridge"])
def test_a_latex_row_that_begins_like_an_argument_of_the_line_break_before_it_is_kept_apart(text):
    assert "{}" + text in table("latex", ("x", 1), (text, 2))


def test_html_shows_markup_as_text():
    page = table("html", ("<b>&'\"", 1))
    assert "<b>" not in page
    assert escape("html", "<b>&'\"") in page


@pytest.mark.parametrize("fmt", FORMATS)
def test_nothing_is_an_empty_cell_and_a_table_may_have_no_row(fmt):
    assert "None" not in table(fmt, ("a", None))
    assert "class" in table(fmt)
    assert "class" in table_text(fmt, columns(["class", "n"], right=["n"]), [])
    assert table_text(fmt, columns(["class", "n"]), [["a"]]) == table_text(fmt, columns(["class", "n"]), [["a", ""]])


def test_only_markdown_lists_notes_with_bullets():
    assert listed("markdown", ["a_b"]) == [r"* a\_b"]
    assert listed("console", ["a_b"]) == ["a_b"]


def test_csv_has_every_name_of_any_row_and_nested_values_as_json():
    text = csv_text([{"a": 'x, "y"\nz', "b": None}, {"a": 1, "c": {"d": [1]}}])
    first, second = csv.DictReader(io.StringIO(text))
    assert first == {"a": 'x, "y"\nz', "b": "", "c": ""}
    assert json.loads(second["c"]) == {"d": [1]}
    assert not text.endswith("\n")


def test_nan_becomes_nothing_for_programs():
    assert without_nan({"a": math.nan, "b": 0.0, "c": "nan"}) == {"a": None, "b": 0.0, "c": "nan"}


def test_the_examples_of_the_docstrings_hold():
    found = doctest.testmod(writer)
    assert found.attempted > 0
    assert found.failed == 0
