"""``zslbench report --format latex``: one page that says what was measured, on what and how."""

import re

import pytest
from fakes import fake_record, fake_store
from tables.latex_read import check_latex
from tiny import make_features

PARTS = ("Protocol", "Splits", "Class vectors", "Features", "Statistics", "Caveats", "Versions", "Commands")
NASTY = "a_b & 50% #{1} ~^\\"


@pytest.fixture
def appendix(zslbench, tmp_path):
    """Return a function that writes the appendix of a results folder and returns its text."""

    def write(results, *options):
        code, out, err = zslbench("report", "--results", results, "--out", tmp_path / "appendix.tex", *options)
        assert (code, out) == (0, ""), err
        return (tmp_path / "appendix.tex").read_text(encoding="utf-8")

    return write


def test_it_has_every_part_with_digests_provenance_and_commands(zslbench, appendix, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["zslbench", "report", "--family", "k400->ucf101"])
    make_features()
    line = ["run", "--method", "ridge", "--method", "random", "--dataset", "hmdb51", "--features", "tiny"]
    assert zslbench(*line, "--splits", 2, "--no-track", "--results", tmp_path / "runs")[0] == 0
    text = appendix(tmp_path / "runs", "--label", "tab:main")
    check_latex(text)
    assert [title for title in PARTS if rf"\textbf{{{title}.}}" not in text] == []
    assert r"\label{tab:main}" in text
    features = re.search(r"\\textbf\{Features\.\} (.*)", text)[1]
    assert "extractor" in features
    for part in ("Splits", "Class vectors", "Features"):
        assert re.search(rf"\\textbf{{{part}\.}}.*digest \\texttt{{[0-9a-f]{{12}}}}", text), part
    assert "jackknife" in text
    command = r"\item \texttt{zslbench report -{}-family \textquotesingle{}k400-\ensuremath{>}ucf101\textquotesingle{}}"
    assert command in text  # as a shell takes it
    assert "zslbench 0" in text


def test_what_is_not_on_this_machine_is_said_and_names_are_text(appendix, tmp_path):
    records = [fake_record(NASTY), fake_record("ridge", simulated=True), fake_record("sae", dataset="ucf101")]
    text = appendix(fake_store(tmp_path / "runs", records).root)
    check_latex(text)
    assert "its provenance is not on this machine" in text
    assert "SIMULATED FEATURES" in text
    assert text.count(r"\textbf{Protocol (") == 2  # one for each table


def test_without_out_it_lies_beside_the_page(zslbench, tmp_path):
    root = fake_store(tmp_path / "runs", [fake_record("ridge")]).root
    code, _, err = zslbench("report", "--results", root, "--format", "latex")
    assert (code, f"written to {root / 'report.tex'}" in err) == (0, True)
    code, _, err = zslbench("report", "--results", root, "--out", tmp_path / "x.csv")
    assert (code, "must end in .html or .tex" in err) == (2, True)
