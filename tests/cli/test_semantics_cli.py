"""``zslbench semantics``: what it prints and how it refuses."""

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset


@pytest.fixture
def word_file(tmp_path):
    """Random vectors of every word of HMDB51 under e2e-v1 but two."""
    dataset = get_dataset("hmdb51")
    words = {word: None for name in dataset.classes for word in dataset.phrase(name, "e2e-v1").split()}
    rng = np.random.default_rng(0)
    lines = [f"{w} {' '.join(map(str, rng.standard_normal(8)))}" for w in words if w not in ("flac", "golf")]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(lines))
    return path


def test_import_list_show_remove(zslbench, word_file):
    code, out, err = zslbench("semantics", "import", "mine", word_file)
    assert (code, err) == (0, "")
    assert "mine: 8-d" in out
    code, out, _ = zslbench("semantics", "list")
    assert code == 0
    shipped = ["minilm", "minilm-attributes", "minilm-definition", "minilm-name-attributes"]
    assert [line.split()[0] for line in out.splitlines()[2:]] == [*shipped, "mine"]
    code, out, _ = zslbench("semantics", "show", "mine")
    assert code == 0
    assert "mine: 8-d, mean of unit word vectors, unit length, edits e2e-v1" in out
    assert "49/51" in next(line for line in out.splitlines() if line.startswith("hmdb51"))
    code, out, _ = zslbench("semantics", "show", "mine:pool=sum", "--dataset", "hmdb51")
    assert code == 0
    assert "hmdb51: 49 of 51 classes" in out
    assert "flic_flac: flac" in out
    assert "sum of unit word vectors" in out
    code, out, _ = zslbench("semantics", "remove", "mine", "--yes")
    assert code == 0
    assert out.startswith("removed ")
    assert zslbench("semantics", "show", "mine")[0] == 2


def test_shipped_vectors_are_shown(zslbench):
    code, out, _ = zslbench("semantics", "show", "minilm")
    assert code == 0
    assert "51/51" in out
    assert "PullUps, PushUps 0.865" in out


def test_the_most_similar_pairs_come_first(zslbench):
    _, out, _ = zslbench("semantics", "show", "minilm", "--dataset", "hmdb51")
    cosines = [float(line.split()[0]) for line in out.splitlines() if line.startswith("0.")]
    assert len(cosines) == 10
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["show", "minilmm"], "no class vectors 'minilmm'"),
        (["show", "minilm:pool=sum"], "does not apply"),
        (["show", "minilm", "--dataset", "hmdb15"], "Did you mean hmdb51"),
        (["import", "x", "nothing.bin"], "check the path"),
        (["import", "x", "nothing.bin", "--format", "word3vec"], "word3vec"),
        (["remove", "x", "--yes"], "no class vectors 'x'"),
    ],
)
def test_bad_input_ends_with_one_sentence(zslbench, args, sentence):
    code, out, err = zslbench("semantics", *args)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.real
def test_xus_label_mat(zslbench, shared_data):
    code, out, _ = zslbench("semantics", "import", "word2vec-xu", shared_data / "xu-ijcv17" / "Label.mat")
    assert code == 0
    assert "300-d, hmdb51 (51 classes), olympicsports16 (16 classes), ucf101 (101 classes) (left out CCV)" in out
    _, out, _ = zslbench("semantics", "show", "word2vec-xu")
    assert "JavelinThrow, ThrowDiscus 0.957" in out
