"""``zslbench reproduce`` as a user meets it, on a few made-up videos."""

import csv
import sys

import pytest
import tiny

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError
from zslbench.ledger.papers import PAPERS


@pytest.fixture
def quick_paper(tmp_path, monkeypatch):
    """The shipped paper with methods that fit at once."""
    text = PAPERS.get("action2vec")().read_text(encoding="utf-8")
    for old, new in (
        ('method = "action2vec"', 'method = "ridge"'), ('"action2vec:no-attention"', '"reverse-ridge"'),
        ('"action2vec:cosine-only"', '"eszsl"'), ('"stacked-lstm"', '"random"'), ('"single-lstm"', '"majority"'),
    ):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "paper.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(PAPERS, "get", lambda name: lambda: path)


@pytest.fixture
def no_wordnet(monkeypatch):
    def refuse():
        raise NotFoundError("WordNet's data could not be had; run 'zslbench resources wordnet' again.")

    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.find_wordnet", lambda: None)
    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.get_wordnet", refuse)


@pytest.fixture
def features():
    """Classes with verbs of several nouns, so that vector arithmetic has something to do."""
    playing = [name for name in get_dataset("ucf101").classes if name.startswith("Playing")]
    others = [name for name in get_dataset("ucf101").classes if not name.startswith("Playing")][:21]
    return tiny.make_features("ucf101", per_class=3, classes=playing + others)


@pytest.mark.slow
def test_everything_comes_into_one_folder_and_a_second_run_only_writes_it_again(
    zslbench, tmp_path, quick_paper, no_wordnet, features
):
    arguments = ("reproduce", "action2vec", "--dataset", "ucf101", "--splits", 1, "--quick", "--no-track")
    code, out, err = zslbench(*arguments, "--results", tmp_path / "runs")
    assert code == 0, err
    folder = tmp_path / "runs" / "reproduce" / "action2vec-ucf101@tiny-quick"
    names = {path.name for path in folder.iterdir()}
    tables = {f"table{i}-quick.{suffix}" for i in (1, 2, 3, 4) for suffix in ("csv", "md")}
    pictures = {f"figure{i}-quick.{suffix}" for i in (2, 4) for suffix in ("png", "svg")}
    assert names == tables | pictures | {"index.html", "files.json"}
    assert "18 cells: 0 kept from before, 18 to run" in err
    assert "not comparable: quick settings are not the paper's" in out

    html = (folder / "index.html").read_text()
    assert "<title>QUICK RUN, not a reproduction" in html
    assert html.count('role="img"') == 2
    table3 = (folder / "table3-quick.md").read_text()
    assert "zslbench resources wordnet" in table3
    rows = list(csv.DictReader((folder / "table4-quick.csv").open()))
    assert rows[0]["dataset"] == "ucf101"
    assert int(rows[0]["pairs"]) >= 72
    assert 0 <= float(rows[0]["measured"]) <= 1
    assert [row["groups"] for row in rows[:3]] == ["two-word-80", "any-position-90a", "any-position-90b"]
    assert (rows[3]["status"], rows[3]["why"]) == ("not run", "no features")
    assert "note: table 3 will not be made: WordNet's data could not be had" in err
    assert err.index("table 3 will not be made") < err.index("18 cells")
    assert "table 3 of UCF101 not run: WordNet's data" in out
    assert "table 4" not in out

    code, _, err = zslbench(*arguments, "--results", tmp_path / "runs")
    assert code == 0
    assert "18 kept from before, 0 to run" in err


@pytest.mark.slow
def test_every_row_of_the_shipped_paper_runs(zslbench, tmp_path, no_wordnet):
    tiny.make_features(per_class=3, classes=get_dataset("hmdb51").classes[:20])
    arguments = ("--splits", 1, "--quick", "--no-track", "--out", tmp_path / "out", "--results", tmp_path / "runs")
    code, _, err = zslbench("reproduce", "action2vec", *arguments)
    assert code == 0, err
    rows = list(csv.DictReader((tmp_path / "out" / "table1-quick.csv").open()))
    measured = [row for row in rows if row["dataset"] == "hmdb51"]
    assert len(measured) == 18
    assert all(row["measured"] for row in measured)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("action3vec",), "Did you mean action2vec"),
        (("action2vec",), "zslbench features import"),
        (("action2vec", "--dataset", "ucf101", "--features", "c3d"), "c3d"),
        (("action2vec", "--dataset", "ufc101"), "Did you mean ucf101"),
    ],
)
def test_what_cannot_run_ends_with_one_sentence_and_writes_nothing(zslbench, tmp_path, arguments, hint):
    code, out, err = zslbench("reproduce", *arguments, "--results", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert hint in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("bad", ["--out", "--results"])
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_simulated_or_downloaded(
    zslbench, tmp_path, monkeypatch, features, bad
):
    def too_early(*_, **__):
        raise AssertionError("an argument was not checked")

    monkeypatch.setattr("zslbench.semantic_tests.wordnet_data.get_wordnet", too_early)
    if bad == "--out":
        monkeypatch.setattr("zslbench.cli.reproduce.prepare", too_early)
    (tmp_path / "file").write_text("")
    code, _, err = zslbench("reproduce", "action2vec", bad, tmp_path / "file" / "folder")
    assert code == 2
    assert str(tmp_path / "file" / "folder") in err
    assert f"with {bad}." in err


def test_a_missing_extra_is_said_before_anything_runs(zslbench, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, err = zslbench("reproduce", "action2vec", "--results", tmp_path / "runs")
    assert code == 2
    assert 'pip install "zslbench[report]"' in err
    assert not (tmp_path / "runs").exists()


def test_a_folder_of_something_else_is_refused_before_anything_runs(zslbench, tmp_path, features):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    code, _, err = zslbench("reproduce", "action2vec", "--out", tmp_path / "out", "--results", tmp_path / "runs")
    assert code == 2
    assert "--out" in err
    assert not (tmp_path / "runs").exists()
