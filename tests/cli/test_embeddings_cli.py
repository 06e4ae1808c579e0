"""``zslbench embeddings``: export, query and picture, from the command line to files."""

import json

import numpy as np
import pytest
from tiny import make_features

RIDGE = ["--dataset", "hmdb51", "--method", "ridge"]


@pytest.fixture
def run(zslbench, tmp_path):
    """Run a verb of embeddings whose models go to the test's own results."""

    def call(verb, *args, results=True):
        return zslbench("embeddings", verb, *args, *(["--results", tmp_path / "results"] if results else []))

    return call


@pytest.mark.slow
def test_export_query_and_picture_of_a_method(run, tmp_path):
    make_features()
    out = tmp_path / "out" / "ridge.kv"
    code, text, err = run("export", *RIDGE, "--out", out, "--videos")
    assert code == 0, err
    assert "51 classes, 384 dimensions" in text
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "ridge.json", "ridge.kv", "ridge.md", "ridge.videos.kv", "ridge.words.kv",
    ]  # fmt: skip
    from gensim.models import KeyedVectors

    classes, videos = (KeyedVectors.load_word2vec_format(str(out.parent / f"ridge{s}.kv")) for s in ("", ".videos"))
    assert (len(classes), len(videos)) == (51, 306)
    np.testing.assert_allclose(
        np.mean([videos[f"wave_{i}"] for i in range(6)], axis=0), classes["wave"], rtol=1e-4, atol=1e-5
    )
    code, text, err = run("query", out, "brush hair - hair + wave", "Climb Stairs", "--top", "3", results=False)
    assert code == 0, err
    assert "ridge trained on hmdb51@tiny" in text
    assert "brush_hair (class) - hair (word) + wave (class)" in text
    rows = [line.split() for line in text.split("climb_stairs (class)")[1].splitlines() if line[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    vectors = {name: classes.get_vector(name, norm=True) for name in classes.index_to_key}
    best = sorted(set(vectors) - {"climb_stairs"}, key=lambda name: -float(vectors[name] @ vectors["climb_stairs"]))
    assert [row[1] for row in rows] == best[:3]
    for name in ("map.png", "map.svg", "map.html"):
        code, text, err = run("picture", *RIDGE, "--projection", "pca", "--out", out.parent / name)
        assert code == 0, err
        assert (out.parent / name).stat().st_size > 10_000
    assert "seen in training (26)" in (out.parent / "map.svg").read_text()
    again = out.parent / "again.svg"
    assert run("picture", *RIDGE, "--projection", "pca", "--out", again)[0] == 0
    assert again.read_bytes() == (out.parent / "map.svg").read_bytes()


def test_plain_class_vectors_need_no_method(run, tmp_path):
    out = tmp_path / "v.bin"
    code, text, _ = run("export", "--dataset", "ucf101", "--out", out)
    assert code == 0
    assert '"PlayingPiano - piano + violin"' in text
    code, text, _ = run("query", out, "PlayingPiano - piano + violin", results=False)
    assert code == 0
    assert next(line for line in text.splitlines() if line.startswith("1 ")).split()[1] == "PlayingViolin"
    card = json.loads((tmp_path / "v.json").read_text())
    assert (card["method"], card["features"], card["split"]) == (None, None, None)
    assert {entry["seen_in_training"] for entry in card["classes"].values()} == {None}


def test_simulated_features_are_marked_loudly_everywhere(run, tmp_path):
    out = tmp_path / "s.kv"
    _, text, _ = run("export", *RIDGE, "--features", "simulated", "--out", out)
    assert "SIMULATED FEATURES" in text
    assert "**SIMULATED FEATURES" in (tmp_path / "s.md").read_text()
    assert "SIMULATED FEATURES" in run("query", out, "wave", results=False)[1]
    run("picture", *RIDGE, "--features", "simulated", "--projection", "pca", "--out", tmp_path / "s.svg")
    assert "[simulated]" in (tmp_path / "s.svg").read_text()


def test_words_of_another_file_are_used(run, tmp_path):
    (tmp_path / "c.txt").write_text("2 2\neast 1 0\nnorth 0 1\n")
    (tmp_path / "w.txt").write_text("2 2\nup 0 1\ndown 0 -1\n")
    code, text, _ = run("query", tmp_path / "c.txt", "east + up", "--words", tmp_path / "w.txt", results=False)
    assert code == 0
    assert "0.707" in text


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["export", "--out", "x.kv"], "name a --dataset"),
        (["export", "--dataset", "ucf101", "--out", "x.csv"], "one of .kv"),
        (["export", "--dataset", "ucf101", "--out", "x.kv", "--videos"], "name one with --method"),
        (["export", "--dataset", "ucf101", "--out", "x.kv", "--features", "vgg"], "--features is only for a method's"),
        (["export", "--dataset", "ucf101", "--out", "x.kv", "--set", "a.b=1"], "--set is only for a method's"),
        (["export", "--dataset", "ucf101", "--out", "x.kv", "--semantics", "minilmm"], "Did you mean minilm"),
        (["export", *RIDGE, "--features", "simulated", "--method", "random", "--out", "x.kv"], "choose a"),
        (["picture", "--dataset", "ucf101", "--out", "x.pdf"], "must end in .png"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_no_file(run, tmp_path, monkeypatch, args, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*args)
    assert code == 2, err
    assert sentence in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("x.*"))


def test_files_that_exist_are_kept_unless_told_otherwise(run, tmp_path):
    make_features()
    for verb, name in (("export", "v.kv"), ("picture", "v.svg")):
        (tmp_path / name).write_text("mine")
        code, _, err = run(verb, *RIDGE, "--out", tmp_path / name)
        assert (code, (tmp_path / name).read_text()) == (2, "mine")
        assert "--overwrite" in err
        assert "trained" not in err  # it was noticed before the work, not after
        assert run(verb, *RIDGE, "--out", tmp_path / name, "--overwrite")[0] == 0
        assert (tmp_path / name).read_text() != "mine"


def test_an_unknown_term_ends_with_suggestions(run, tmp_path):
    run("export", "--dataset", "ucf101", "--out", tmp_path / "v.kv")
    code, out, err = run("query", tmp_path / "v.kv", "PlayingPiano - pianu", results=False)
    assert (code, out) == (2, "")
    assert "'pianu' is no class and no word. Did you mean piano (word)" in err
