"""LaTeX tables: whole, escaped, in a size that fits, with the best figures marked among those that are compared."""

import doctest
import re

import pytest
from tables.latex_read import cells, check_latex, rows, tables

from zslbench.tables import document, formats, latex
from zslbench.tables.document import Document, Section
from zslbench.tables.formats import document_text
from zslbench.tables.latex import LatexOptions, latex_text
from zslbench.tables.writer import Column, columns

NASTY = r"a|b & 50% $x$ #1 {y} ~ ^ \z <t> _ --all"
TABLE = (
    Column("method", lambda row: row[0]),
    Column("top-1\n%", lambda row: f"{row[1]:.1f}", "right", figure=lambda row: row[1]),
)


def section(*rows, group=None, title="hmdb51, zsl"):
    return Section(TABLE, rows, title, group=group, peers=lambda row: row[2] if len(row) > 2 else "all")


def figures(text):
    (_, body), *_ = tables(text)
    return {cells(line)[0]: cells(line)[1] for line in rows(body)[1:] if "&" in line}


def test_the_best_is_bold_and_the_second_underlined():
    assert figures(latex_text([section(("a", 20.0), ("b", 30.0), ("c", 10.0))])) == {
        "a": r"\underline{20.0}", "b": r"\textbf{30.0}", "c": "10.0",
    }  # fmt: skip


def test_figures_that_look_equal_share_their_mark():
    found = figures(latex_text([section(("a", 30.01), ("b", 29.99), ("c", 20.0), ("d", 20.0), ("e", 10.0))]))
    assert [found[name] for name in "abcde"] == [
        r"\textbf{30.0}", r"\textbf{30.0}", r"\underline{20.0}", r"\underline{20.0}", "10.0",
    ]  # fmt: skip


def test_rows_that_are_not_compared_neither_win_nor_lose():
    found = figures(
        latex_text([section(("a", 20.0, 1), ("b", 10.0, 1), ("other budget", 90.0, 2), ("chance", 95.0, None))])
    )
    assert found == {"a": r"\textbf{20.0}", "b": r"\underline{10.0}", "other budget": "90.0", "chance": "95.0"}
    assert r"\textbf" not in latex_text([section(("a", 20.0), ("b", 20.0))])  # all equal: nothing is best


def test_a_text_of_any_characters_stays_one_cell_that_compiles():
    text = latex_text([section((NASTY, 1.0), ("[x]", 2.0), title=NASTY)])
    check_latex(text)
    assert r"a\textbar{}b \& 50\% \$x\$ \#1 \{y\} \textasciitilde{} \^{} \textbackslash{}z" in text
    assert r"-{}-all" in text
    assert r"{}[x]" in text  # not an argument of the \\ before it


def test_tables_have_labels_of_their_own_and_captions():
    text = latex_text([section(("a", 1.0)), section(("b", 1.0))])
    assert re.findall(r"\\label\{(.*)\}", text) == ["tab:hmdb51-zsl", "tab:hmdb51-zsl-2"]
    text = latex_text([section(("a", 1.0))], LatexOptions(label="tab:main", caption="Results of 50 %"))
    assert r"\caption{Results of 50 \%}" in text
    assert r"\label{tab:main}" in text


@pytest.mark.parametrize(
    ("widths", "kind"),
    [((10, 10), "table"), ((30, 30), "table*"), ((200, 100), "table*"), ((2000, 20, 20, 20), "table*")],
)
def test_a_table_is_a_column_or_a_page_wide(widths, kind):
    words = [" ".join(["word"] * (width // 5)) for width in widths]
    text = latex_text([Section(columns([f"h{i}" for i in range(len(widths))]), [words], "wide")])
    assert rf"\begin{{{kind}}}" in text
    shares = [float(share) for share in re.findall(r"p\{([\d.]+)\\linewidth\}", text)]
    assert sum(shares) <= 1
    assert bool(shares) == (sum(widths) > 80)
    check_latex(text)


def test_a_long_table_breaks_across_pages_with_its_head():
    text = latex_text([section(*((f"m{i}", float(i)) for i in range(60)))])
    check_latex(text)
    assert r"\begin{longtable}" in text
    assert r"\endhead" in text
    assert r"\begin{table" not in text


def test_groups_have_headings_unless_there_is_one():
    two = latex_text([section(("a", 1.0, 1), ("b", 2.0, 2), group=lambda row: f"group {row[2]}")])
    assert two.count(r"\multicolumn{2}") == 2
    check_latex(two)
    assert r"\multicolumn" not in latex_text([section(("a", 1.0, 1), group=lambda row: "one")])


def test_the_notes_of_a_document_follow_its_last_table():
    text = document_text(Document("x", [section(("a", 1.0)), section(("b", 2.0))], notes=["50 % of it"]), "latex")
    assert text.index(r"50 \% of it") > text.index("b & 2.0") - 10
    assert document_text(Document("x", [], notes=["nothing"]), "latex") == "% nothing"


@pytest.mark.parametrize("module", [document, latex, formats])
def test_the_examples_of_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
