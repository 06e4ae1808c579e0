"""``zslbench compare`` as a user meets it."""

import json

import pytest
from fakes import fake_record, fake_store

pytestmark = pytest.mark.versions


@pytest.fixture
def results(tmp_path):
    top1 = {"ridge": (8, 5, 3), "eszsl": (2, 4, 2), "devise": (5, 5, 1)}
    records = [fake_record(m, i, top1=counts) for m, counts in top1.items() for i in range(3)]
    fake_store(tmp_path / "runs", [*records, fake_record("ridge", 7, semantics="word2vec")])
    return tmp_path / "runs"


def test_two_methods(zslbench, results):
    code, out, err = zslbench("compare", "ridge", "eszsl", "--results", results)
    assert (code, err) == (0, "")
    assert "per-class top-1, 3 classes" in out
    assert "Classes that differ most, 3 of 3" in out
    assert "devise" not in out


def test_all_methods_as_json(zslbench, results):
    code, out, _ = zslbench("compare", "--results", results, "--format", "json")
    content = json.loads(out)["comparisons"]
    assert code == 0
    assert len(content) == 3
    assert all(0 < c["p"] <= c["p_holm"] for c in content)


def test_a_picture_is_written_and_a_wrong_ending_is_refused(zslbench, results, tmp_path):
    code, _, err = zslbench("compare", "--results", results, "--picture", tmp_path / "p.png")
    assert code == 0
    assert "p.png" in err
    assert (tmp_path / "p.png").stat().st_size > 10_000
    code, _, err = zslbench("compare", "--results", results, "--picture", tmp_path / "p.nothing")
    assert code == 2
    assert ".png" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ridge", "ezsl"), "eszsl"),
        (("ridge",), "second method"),
        (("--semantics", "glove"), "minilm, word2vec"),
        (("--semantics", "word2vec"), "no table has figures of two"),
    ],
)
def test_bad_input_is_told_in_one_sentence(zslbench, results, arguments, told):
    code, out, err = zslbench("compare", "--results", results, *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_an_empty_store_says_what_to_run(zslbench, tmp_path):
    code, _, err = zslbench("compare", "a", "b", "--results", tmp_path / "nothing")
    assert code == 2
    assert "zslbench run" in err
