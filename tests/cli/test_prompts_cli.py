"""``zslbench prompts``: a distribution, its extremes, a lead, and the sentence about test labels."""

import csv
import json

import numpy as np
import pytest
from audited import written

from zslbench.datasets.catalog import get_dataset
from zslbench.semantics import prompts

CLASSES = ("brush_hair", "chew", "fencing", "golf", "jump", "pick")
LINE = ("prompts", "--dataset", "hmdb51", "--features", "written")
FEW = ("--names", "official", "--names", "plain", "--template", "none", "--template", "a video of {}")


def vector_of(text):
    total = np.zeros(384)
    for word in text.split():
        total += np.random.default_rng(list(word.encode())).normal(size=384)
    return total / np.linalg.norm(total)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Videos near their class's words, and an encoder of such words in place of the one of the shipped table."""
    monkeypatch.setattr(prompts, "encode_like", lambda table, texts, **options: np.array([*map(vector_of, texts)]))
    rng, frames = np.random.default_rng(0), []
    with np.load(get_dataset("hmdb51").vectors["minilm"]) as arrays:
        table = dict(zip(arrays["phrases"].tolist(), arrays["vectors"].astype(float), strict=True))
    for name in CLASSES:
        middle = table[name.replace("_", " ")]
        frames += [(f"{name}_{i}", name, (middle + 0.1 * rng.normal(size=(2, 384))).astype("f4")) for i in range(6)]
    return written(frames)


def test_the_report_has_a_distribution_its_extremes_and_says_what_choosing_would_be(zslbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = zslbench(*LINE, *FEW)
    assert code == 0, err
    assert "hmdb51@written, 6 classes, all at once; prompts of minilm" in out
    assert "4 prompts: 2 templates x 2 spellings" in out
    assert [line.split()[:3] for line in out.splitlines() if " all  " in line] == [["nearest-text", "all", "4"]]
    for line in ("best ", "worst ", "default ", "names=plain,template=none", "is an oracle"):
        assert line in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_second_method_shows_whether_the_lead_survives(zslbench, tmp_path):
    code, out, err = zslbench(
        *LINE, *FEW, "--method", "nearest-text", "--method", "random", "--out", tmp_path / "p.png"
    )
    assert code == 0, err
    assert "nearest-text leads random with " in out
    assert "95 % intervals over 6 classes, paired,\nexclude 0: ahead with " in out
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_figures_are_written_as_csv_and_json(zslbench, tmp_path):
    for name in ("p.csv", "p.json"):
        code, _, err = zslbench(*LINE, *FEW, "--out", tmp_path / name)
        assert code == 0, err
    record = json.loads((tmp_path / "p.json").read_text())
    with (tmp_path / "p.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(record["prompts"]) == 4
    assert float(rows[0]["top1"]) == record["prompts"][0]["top1"]
    assert "oracle" in record["note"]


def test_a_method_that_trains_is_fitted_on_a_split(zslbench):
    code, out, err = zslbench(*LINE, *FEW, "--method", "ridge", "--method", "nearest-text")
    assert code == 0, err
    assert "3 classes, random-50/50, split 0; prompts of minilm" in out
    assert "ridge leads nearest-text with " in out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--names", "clip"), "hmdb51 has no table of names 'clip'"),
        (("--template", "a video"), "must contain {} once"),
        (("--semantics", "minilm-definition"), "minilm-definition has no encoder that could embed prompts"),
        (("--semantics", "word2vec"), "word2vec has no encoder that could embed prompts"),
        pytest.param(("--clip", "nowhere"), "no folder nowhere", marks=pytest.mark.slow),  # it loads torch
        (("--out", "p.txt"), "must end in"),
        (("--method", "nearest-txt"), "nearest-text"),
    ],
)
def test_bad_input_is_one_sentence(zslbench, more, says):
    code, out, err = zslbench(*LINE, *more)
    assert code == 2
    assert out == ""
    assert says in err
    assert "Traceback" not in err
