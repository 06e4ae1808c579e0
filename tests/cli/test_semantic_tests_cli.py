"""``zslbench semantic-tests wordnet`` and ``zslbench resources wordnet``: what they print and how they refuse."""

import csv
import json

import nltk
import numpy as np
import pytest
from wordnet_here import wordnet, wordnet_path  # noqa: F401 - fixtures

from zslbench.datasets.catalog import get_dataset

WORDNET = ("semantic-tests", "wordnet")
pytestmark = pytest.mark.usefixtures("wordnet")


def row_of(out, title):
    return next(line for line in out.splitlines() if line.startswith(title)).removeprefix(title).split()


def test_class_vectors_with_rules_coverage_and_what_is_left_out(zslbench):
    code, out, err = zslbench(*WORDNET, "--dataset", "hmdb51")
    assert (code, err) == (0, "")
    assert "whole names, any part of speech, most similar synsets, undefined pairs skipped, diagonal excluded" in out
    assert "36 of 51 names are in WordNet" in out
    assert "Left out: brush_hair, climb_stairs" in out
    rho, low, high, n_rows, *_, p = row_of(out, "class vectors minilm")
    assert 0.1 < float(rho) < 0.4
    assert float(low.strip("[,")) < float(rho) < float(high.strip("]"))
    assert n_rows == "36"
    assert float(p) < 0.05


def test_paper_style_includes_the_diagonal_and_says_what_it_does(zslbench):
    _, out, _ = zslbench(*WORDNET, "--dataset", "hmdb51", "--permutations", 1)
    _, paper, _ = zslbench(*WORDNET, "--dataset", "hmdb51", "--permutations", 1, "--paper-style")
    _, included, _ = zslbench(*WORDNET, "--dataset", "hmdb51", "--permutations", 1, "--diagonal", "include")
    assert paper == included
    assert "diagonal included" in paper
    assert "raises rho for any embedding" in paper
    assert float(row_of(paper, "class vectors minilm")[0]) > float(row_of(out, "class vectors minilm")[0])


def test_every_rule_can_be_set(zslbench):
    rules = [
        "--look-up",
        "first-word",
        "--pos",
        "verb",
        "--synsets",
        "first",
        "--undefined",
        "zero",
        "--edits",
        "e2e-v1",
    ]
    code, out, _ = zslbench(*WORDNET, "--dataset", "hmdb51", *rules)
    assert code == 0
    assert "first words, verbs, first synsets, undefined pairs 0, diagonal excluded, edits e2e-v1" in out


def test_a_method_is_trained_and_stands_below_the_vectors_and_features_it_was_given(zslbench, tmp_path):
    args = ("--dataset", "hmdb51", "--method", "ridge", "--features", "simulated", "--results", tmp_path / "results")
    code, out, err = zslbench(*WORDNET, *args, "--out", tmp_path / "values.json")
    assert code == 0
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("embedding")) + 2
    titles = [line.split("  ")[0] for line in lines[start : start + 3]]
    assert titles[:2] == ["class vectors minilm", "pooled simulated"]
    assert titles[2].startswith("ridge")
    assert "of the 36 classes compared" in err
    record = json.loads((tmp_path / "values.json").read_text())
    assert [each["title"] for each in record["embeddings"]] == titles
    assert record["rules"]["undefined"] == "skip"
    assert len(record["names"]) + len(record["left_out"]) == 51
    assert any(None in row for row in record["wordnet"])
    by_class = [rho for rho in record["embeddings"][0]["rho_by_class"].values() if rho is not None]
    assert np.mean(by_class) == pytest.approx(record["embeddings"][0]["rho"])


@pytest.mark.real
def test_only_classes_with_videos_are_compared(zslbench, shared_data):
    folder = shared_data / "ucf101-vgg16-15c"
    files = ("--features", folder / "features.npy", "--videos", folder / "videos.csv")
    assert zslbench("features", "import", "ucf101", "vgg16", *files, "--extractor", "vgg16")[0] == 0
    code, out, err = zslbench(*WORDNET, "--dataset", "ucf101", "--features", "vgg16")
    assert code == 0
    assert "ucf101: 6 of 15 names are in WordNet" in out
    assert "ucf101@vgg16: 15 of 101 classes" in err
    assert row_of(out, "pooled vgg16")[3:6] == ["5", "of", "6"]


@pytest.mark.slow
def test_values_by_pair_and_a_picture(zslbench, tmp_path):
    out, picture = tmp_path / "pairs.csv", tmp_path / "maps.svg"
    code, _, err = zslbench(*WORDNET, "--dataset", "hmdb51", "--out", out, "--picture", picture, "--permutations", 9)
    assert code == 0
    assert str(out) in err
    with out.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 36**2
    assert {row["class"] for row in rows} <= set(get_dataset("hmdb51").classes)
    itself = next(row for row in rows if row["class"] == row["other"] == "golf")
    assert (float(itself["wordnet"]), float(itself["class vectors minilm"])) == pytest.approx((1, 1))
    assert "<svg" in picture.read_text()[:2000]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "name a --dataset"),
        (["--dataset", "hmdb52"], "Did you mean hmdb51"),
        (["--dataset", "hmdb51", "--edits", "none"], "no name-edit table 'none'"),
        (["--dataset", "olympicsports16", "--look-up", "single-word", "--pos", "verb"], "are in WordNet"),
        (["--dataset", "hmdb51", "--picture", "maps.txt"], "must end in .png or .svg or .pdf"),
        (["--dataset", "hmdb51", "--out", "values.xlsx"], "must end in .json or .csv"),
        (["--dataset", "hmdb51", "--out", "/nowhere/values.json"], "cannot write /nowhere/values.json"),
        (["--dataset", "hmdb51", "--features", "nothing"], "nothing"),
        (["--dataset", "hmdb51", "--semantics", "nothing"], "no class vectors 'nothing'"),
    ],
)
def test_bad_input_ends_in_a_sentence(zslbench, args, sentence):
    code, _, err = zslbench(*WORDNET, *args)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_without_wordnet_the_command_that_gets_it_is_named(zslbench, tmp_path, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    code, _, err = zslbench(*WORDNET, "--dataset", "hmdb51")
    assert code == 2
    assert "run 'zslbench resources wordnet'" in err


def test_resources_says_where_wordnet_is(zslbench, wordnet_path):  # noqa: F811
    code, out, err = zslbench("resources", "wordnet")
    assert (code, err) == (0, "")
    assert out == f"WordNet 3.0 is there: {wordnet_path}\n"
