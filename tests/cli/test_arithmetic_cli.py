"""``zslbench semantic-tests arithmetic``: what it prints, writes and refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.semantic_tests.analogies import nouns_of

COMMAND = ("semantic-tests", "arithmetic")


@pytest.fixture
def words(zslbench, tmp_path):
    """Word vectors of every word of HMDB51's names, of length 3; 'horse' in other names is 'horse' here."""
    dataset = get_dataset("hmdb51")
    names = {
        word for table in ("plain", "e2e-v1") for c in dataset.classes for word in dataset.phrase(c, table).split()
    }
    rng = np.random.default_rng(0)
    rows = {word: rng.standard_normal(16) for word in sorted(names)}
    path = tmp_path / "words.txt"
    path.write_text(
        "\n".join(f"{word} {' '.join(map(str, 3 * row / np.linalg.norm(row)))}" for word, row in rows.items())
    )
    assert zslbench("semantics", "import", "words", path)[0] == 0


def row_of(out, *start):
    """Return the cells of the first line that begins with these words."""
    return next(cells for cells in map(str.split, out.splitlines()) if cells[: len(start)] == list(start))


def test_class_vectors_of_summed_words_pass_every_pair(zslbench, words):
    code, out, _ = zslbench(
        *COMMAND, "--dataset", "hmdb51", "--semantics", "words:pool=sum,unit_words=false,normalise=false,edits=plain"
    )
    assert code == 0
    assert "groups auto" in out
    assert "8 pairs, 2 verbs, 51 classes" in out
    for metric in ("euclidean", "cosine"):
        for rule in ("left out", "included"):
            assert row_of(out, metric, *rule.split())[1 + len(rule.split())] == "100.0"
    assert "no interval over verbs" in out
    assert row_of(out, "shoot")[1:] == ["6", "100.0", row_of(out, "shoot")[3], "50.0"]


def test_json_and_csv_hold_every_pair_under_every_rule(zslbench, tmp_path):
    made, table = tmp_path / "test.json", tmp_path / "test.csv"
    for out in (made, table):
        assert zslbench(*COMMAND, "--dataset", "ucf101", "--groups", "any-position-90b", "--out", out)[0] == 0
    record, rows = json.loads(made.read_text()), pd.read_csv(table)
    assert (record["pairs"], record["groups"], len(record["by_pair"]), len(rows)) == (90, "any-position-90b", 360, 360)
    assert record["verbs"] == {"playing": 72, "throwing": 6, "jumping": 6, "diving": 2, "swinging": 2, "juggling": 2}
    for outcome in record["outcomes"]:
        chosen = rows[(rows["metric"] == outcome["metric"]) & (rows["exclude_source"] == outcome["exclude_source"])]
        assert outcome["micro"]["share"] == pytest.approx(chosen["passes"].mean())
        assert outcome["macro"]["share"] == pytest.approx(chosen.groupby("verb")["passes"].mean().mean())
        assert (chosen["passes"] == (chosen["nearest_1"] == chosen["target"])).all()
        assert outcome["chance"] == 1 / (100 if outcome["exclude_source"] else 101)


def test_failed_pairs_are_shown_with_their_nearest_classes(zslbench, words, tmp_path):
    table = tmp_path / "test.csv"
    args = ("--dataset", "hmdb51", "--semantics", "words", "--noun-vectors", "raw", "--out", table)
    _, out, _ = zslbench(*COMMAND, *args)
    rows = pd.read_csv(table)
    failed = rows[(rows["metric"] == "euclidean") & rows["exclude_source"] & ~rows["passes"]]
    assert len(failed) > 0
    assert f"{len(failed)} fail" in out
    for row in failed.itertuples():
        line = next(line for line in out.splitlines() if line.startswith(f"{row.source} - {row.minus} + {row.plus} "))
        assert line.split("  ")[-1].strip() == f"{row.nearest_1}, {row.nearest_2}, {row.nearest_3}"


def test_raw_nouns_are_as_the_source_stores_them(zslbench, words, tmp_path):
    steps = {}
    for kind in ("unit", "raw"):
        out = tmp_path / f"{kind}.json"
        args = ("--dataset", "hmdb51", "--semantics", "words", "--noun-vectors", kind, "--out", out)
        assert zslbench(*COMMAND, *args)[0] == 0
        steps[kind] = json.loads(out.read_text())["median_step"]
    assert steps["raw"] == pytest.approx(3 * steps["unit"], rel=1e-5)


def test_nouns_without_a_vector_are_named_and_their_pairs_counted(zslbench, tmp_path):
    dataset = get_dataset("ucf101")
    known = {word for c in dataset.classes for word in dataset.phrase(c, "e2e-v1").split()}
    gone = [noun for noun in nouns_of(dataset.analogies["two-word-80"]) if noun not in known]
    assert gone == ["bowling", "shot", "walking", "riding", "juggling"]  # e2e-v1 has bowl, shoot, walk, rid, juggle
    rng = np.random.default_rng(0)
    lines = [f"{word} {' '.join(map(str, rng.standard_normal(8)))}" for word in sorted(known)]
    (tmp_path / "words.txt").write_text("\n".join(lines))
    assert zslbench("semantics", "import", "words", tmp_path / "words.txt")[0] == 0
    code, out, _ = zslbench(*COMMAND, "--dataset", "ucf101", "--semantics", "words")
    assert code == 0
    assert "72 pairs, 1 verb," in out
    assert "8 pairs are left out, because there is no vector of bowling, shot, walking, riding, juggling." in out


@pytest.mark.slow
def test_a_method_is_trained_and_its_classes_are_reported_separately(zslbench, tmp_path):
    args = ("--dataset", "hmdb51", "--method", "ridge", "--results", tmp_path / "runs")
    code, out, _ = zslbench(*COMMAND, *args, "--picture", tmp_path / "examples.png")
    assert code == 0
    assert out.startswith("ridge trained on hmdb51@simulated")
    assert "[simulated]" in out.splitlines()[0]
    assert "the paper leaves out HMDB51" in out
    assert " pairs of two classes that the model was trained on and " in out
    assert (tmp_path / "examples.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--dataset", "ucf101", "--groups", "two-word"], "Did you mean two-word-80"),
        (["--dataset", "ucf101", "--method", "ridge", "--groups", "two-word"], "Did you mean two-word-80"),
        (["--dataset", "ucf101", "--out", "x.txt"], "must end in .json or .csv"),
        (["--dataset", "ucf101", "--picture", "x.gif"], "must end in .png"),
        (["--dataset", "ucf101", "--features", "vgg16"], "--features alone"),
        (["--dataset", "ucf101", "--semantics", "minilmm"], "Did you mean minilm"),
        (["--dataset", "hmdb51", "--method", "reverse-ridge"], "reverse-ridge does not embed videos; choose"),
        (["--dataset", "hmdb51", "--method", "reverse-ridge+nrm"], "reverse-ridge+nrm does not embed videos; choose"),
        (["--dataset", "hmdb51", "--method", "eszsl"], "eszsl does not embed videos; choose"),
        ([], "name a --dataset"),
    ],
)
def test_bad_input_ends_with_one_sentence(zslbench, tmp_path, monkeypatch, args, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zslbench.run.runner.fitted_model", lambda *_, **__: pytest.fail("a model was trained"))
    code, out, err = zslbench(*COMMAND, *args)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.real
def test_ridge_on_captions_passes_most_pairs_of_playing_with_its_own_classes(zslbench, shared_data, tmp_path):
    folder = shared_data / "ucf101-captions"
    imported = zslbench(
        "features", "import", "ucf101", "captions", "--features", folder / "features.npy",
        "--videos", folder / "videos.csv", "--extractor", "captions", "--trained-on", "none",
    )  # fmt: skip
    assert imported[0] == 0
    made = tmp_path / "test.json"
    args = ("--dataset", "ucf101", "--features", "captions", "--method", "ridge", "--all-classes", "--out", made)
    code, out, _ = zslbench(*COMMAND, *args, "--results", tmp_path / "runs")
    assert code == 0
    assert "trained on both classes of every pair" in out
    headline = json.loads(made.read_text())["outcomes"][0]
    assert headline["by_verb"]["playing"] > 0.9
    assert headline["micro"]["share"] > 3 * headline["without_arithmetic"]["micro"]


@pytest.mark.real
@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            ["--method", "ridge", "--features", "few", "--family", "random-50/50"],
            "no verb has two nouns among these 15",
        ),
        (["--semantics", "word2vec-xu"], "no verb has two nouns with a vector (without: cello, daf"),
    ],
)
def test_features_of_few_classes_and_vectors_without_words_are_refused(zslbench, shared_data, tmp_path, args, sentence):
    folder = shared_data / "ucf101-vgg16-15c"
    imported = zslbench(
        "features", "import", "ucf101", "few", "--features", folder / "features.npy",
        "--videos", folder / "videos.csv", "--extractor", "vgg16", "--trained-on", "imagenet",
    )  # fmt: skip
    assert imported[0] == 0
    assert zslbench("semantics", "import", "word2vec-xu", shared_data / "xu-ijcv17" / "Label.mat")[0] == 0
    code, out, err = zslbench(*COMMAND, "--dataset", "ucf101", *args, "--results", tmp_path / "runs")
    assert (code, out) == (2, "")
    assert sentence in err
    assert not (tmp_path / "runs" / "models").exists()  # nothing was trained in vain
