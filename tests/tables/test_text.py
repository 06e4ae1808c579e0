"""Text from data is shown as it is, and acts as nothing else."""

import csv
import doctest
import io
import json
import unicodedata

import pytest
from faults.hostile import NAMES, UNSEEN
from hypothesis import given
from hypothesis import strategies as st

from zslbench.tables import text
from zslbench.tables.text import no_formula, visible
from zslbench.tables.writer import columns, csv_text, table_text

ANY = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from([*NAMES.values(), *UNSEEN.values()])


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_what_a_reader_cannot_see_is_an_escape(name):
    shown = visible(name)
    assert shown.isprintable()
    assert "\\" in shown


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_what_a_reader_can_see_stays(name):
    assert visible(name) == name


def test_joiners_and_wide_spaces_are_no_control_characters():
    family, persian = (
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    )
    assert (visible(family), visible(persian), visible("a\u00a0b")) == (family, persian, "a\u00a0b")


@given(ANY)
def test_no_control_character_is_left_and_lines_stay_only_where_they_are_wanted(name):
    hidden = {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.category(c) for c in visible(name)} & hidden
    assert not {unicodedata.category(c) for c in visible(name, lines=True) if c not in "\n\t"} & hidden
    visible(name).encode("utf-8")


@given(ANY)
def test_json_stays_the_same_json(name):
    # A lone high surrogate beside a low one is one character for JSON.
    pairs = name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    assert json.loads(visible(json.dumps(name, ensure_ascii=False), lines=True)) in (name, pairs)


@given(ANY)
def test_a_spreadsheet_finds_no_formula_and_a_program_finds_the_name(name):
    (row,) = csv.DictReader(io.StringIO(csv_text([{"class": name}, {"class": "x"}][:1])))
    shown = visible(name, lines=True)
    # A quoted carriage return does not exist any more, so rows end where they should.
    assert row["class"] in (shown, f"'{shown}")
    assert not (row["class"] or "x").lstrip().startswith(("=", "@"))


@pytest.mark.parametrize(
    "text", ["=1", "+1+1", "-1+1", "@x", " =1", "\t=1", "\r=1", "\uff1d1", "-cmd|' /C calc'!A0", "-run"]
)
def test_formulas_get_an_apostrophe(text):
    assert no_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.5", "+1e-3", "-", "--", "-3.2 %", "-inf", "a=b", "", "12", "x-ray"])
def test_numbers_and_signs_alone_are_no_formula(text):
    assert no_formula(text) == text


@pytest.mark.parametrize("fmt", ["console", "markdown", "latex", "html"])
@given(names=st.lists(ANY, min_size=1, max_size=4))
def test_a_table_has_one_line_per_row_whatever_the_cells_contain(fmt, names):
    made = table_text(fmt, columns([f"class {names[0]}".replace("\n", " ")]), [[f"x{name}"] for name in names])
    plain = table_text(fmt, columns(["class"]), [["x"]] * len(names))
    assert made.count("\n") == plain.count("\n")
    assert visible(made, lines=True) == made


def test_examples_of_the_docstrings():
    assert doctest.testmod(text).failed == 0
