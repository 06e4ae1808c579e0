"""Tables of named vectors, the export with its card, and arithmetic on them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.card import make_card
from zslbench.embeddings.class_embeddings import ClassEmbeddings, from_method, from_vectors
from zslbench.embeddings.export import class_words, export, placed_words
from zslbench.embeddings.query import parse_expression, query
from zslbench.embeddings.table import VectorTable, read_table, words_path, write_vectors
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import UNFINISHED, new_files
from zslbench.run.runner import fitted_model
from zslbench.semantics.class_vectors import text_vectors
from zslbench.semantics.importing import import_semantics

pytestmark = pytest.mark.versions

NAMES = ("playing bass guitar", "Zumba", "abseiling", "tai chi")
FORMATS = ["t.kv", "t.txt", "t.bin", "t.npz"]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


@pytest.fixture
def trained(tmp_path):
    """Ridge on tiny features of HMDB51, and these features."""
    features = make_features()
    return fitted_model(plan(method="ridge")[0], Store(tmp_path / "results")), features


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_order_and_bits(tmp_path, vectors, name):
    write_vectors(tmp_path / name, NAMES, vectors)
    table = read_table(tmp_path / name)
    assert [n.replace("_", " ") for n in table.names] == list(NAMES)
    np.testing.assert_array_equal(table.vectors, vectors)


@pytest.mark.parametrize(("name", "binary"), [("t.kv", False), ("t.txt", False), ("t.bin", True)])
def test_plain_gensim_reads_what_is_written(tmp_path, vectors, name, binary):
    from gensim.models import KeyedVectors

    write_vectors(tmp_path / name, NAMES, vectors)
    assert (tmp_path / name).read_bytes().startswith(b"4 5\n")
    table = KeyedVectors.load_word2vec_format(str(tmp_path / name), binary=binary)
    assert table.index_to_key == ["playing_bass_guitar", "Zumba", "abseiling", "tai_chi"]
    np.testing.assert_array_equal(table["tai_chi"], vectors[3])
    assert len(table.most_similar("tai_chi")) == 3


def test_names_that_word2vec_could_not_tell_apart_are_refused(tmp_path, vectors):
    with pytest.raises(ZslbenchError, match=r"two names become 'a_b'.*npz"):
        write_vectors(tmp_path / "t.kv", ["a b", "a_b"], vectors[:2])
    with pytest.raises(ZslbenchError, match=r"must end in one of \.kv"):
        write_vectors(tmp_path / "t.csv", NAMES, vectors)


def test_files_of_others_are_read_and_what_is_none_is_refused(tmp_path):
    (tmp_path / "glove.txt").write_text("run 1 2 3\nbike 4 5 6\n")
    assert read_table(tmp_path / "glove.txt").names == ("run", "bike")
    np.savez(tmp_path / "other.npz", data=np.ones(3))
    (tmp_path / "prose.txt").write_text("no vectors here at all\n")
    for name in ("other.npz", "prose.txt", "absent.kv"):
        with pytest.raises(ZslbenchError, match=r"no named vectors|no file"):
            read_table(tmp_path / name)


def test_a_name_is_found_whatever_its_case_spaces_and_underscores():
    table = VectorTable(("PlayingPiano", "high_jump", "Piano", "piano"), np.zeros((4, 1), np.float32))
    assert [table.find(name) for name in ("playing piano", "High-Jump", "piano", "PIANO", "violin")] == [
        0,
        1,
        3,
        2,
        None,
    ]


def test_words_are_those_of_class_names_and_analogies():
    words = class_words(get_dataset("ucf101"))
    assert {"playing", "piano", "violin", "hammer", "yo"} <= set(words)
    assert "eye makeup" in words  # a noun of two words
    assert words == sorted(set(words))


def test_words_lie_among_class_vectors_where_there_is_no_model():
    dataset = get_dataset("ucf101")
    words, missing = placed_words("minilm", dataset)
    assert missing == []
    np.testing.assert_array_equal(words.vectors, text_vectors("minilm", dataset, words.names))


def test_words_go_where_the_method_places_them(trained, monkeypatch):
    model, _ = trained
    monkeypatch.setattr(model.method, "place", lambda vectors: 2 * vectors[:, ::-1])
    words, _ = placed_words("minilm", get_dataset("hmdb51"), model)
    plain = text_vectors("minilm", get_dataset("hmdb51"), words.names)
    np.testing.assert_array_equal(words.vectors, 2 * plain[:, ::-1])


def test_words_that_the_source_lacks_are_told(tmp_path):
    dataset = get_dataset("hmdb51")
    table = np.random.default_rng(0).normal(size=(51, 4))
    np.savez(tmp_path / "t.npz", names=np.array(dataset.classes), vectors=table)
    import_semantics("t", tmp_path / "t.npz", dataset="hmdb51")
    words, missing = placed_words("t", dataset)
    assert "wave" in words.names  # a class of one word
    assert "hair" in missing
    assert sorted([*words.names, *missing]) == class_words(dataset)


def test_class_vectors_that_changed_since_training_are_noticed(trained):
    model, _ = trained
    model.classes.vectors[3] += 0.1
    with pytest.raises(ZslbenchError, match="other class vectors than when ridge"):
        placed_words("minilm", get_dataset("hmdb51"), model)


def test_the_card_tells_what_was_seen_and_what_the_files_are(trained, tmp_path):
    model, features = trained
    classes = from_method(model, features)
    words, missing = placed_words("minilm", features.dataset, model)
    card = make_card(classes, "minilm", features.dataset, words, missing, model=model, features=features)
    written = export(tmp_path / "out" / "ridge.kv", classes, words, None, card)
    assert [path.name for path in written] == ["ridge.kv", "ridge.words.kv", "ridge.json", "ridge.md"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    stored = json.loads(written[2].read_text())
    split = features.dataset.family("xu-50/50").splits[0]
    assert {name for name, entry in stored["classes"].items() if entry["seen_in_training"]} == set(split.seen)
    assert {entry["videos"] for entry in stored["classes"].values()} == {6}
    assert stored["method"]["parameters"] == model.card.cell.params
    assert stored["split"]["split"] == {"family": "xu-50/50", "number": 0, "digest": split.digest}
    assert stored["features"]["extractor_trained_on"] == ["nothing"]
    assert stored["warnings"] == []
    for name, digest in stored["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    text = " ".join(written[3].read_text().split())
    assert "| wave | 6 | yes |" in text or "| wave | 6 | no |" in text
    assert "No video of the other 25 was used in training." in text
    assert "Apache-2.0" in text


def test_the_usage_in_the_card_runs_in_plain_gensim(tmp_path, monkeypatch):
    dataset = get_dataset("ucf101")
    classes = from_vectors("minilm", dataset)
    words, missing = placed_words("minilm", dataset)
    written = export(tmp_path / "v.bin", classes, words, None, make_card(classes, "minilm", dataset, words, missing))
    code = written[3].read_text().split("```python\n")[1].split("```")[0]
    lines = code.strip().split("\n")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec("\n".join(lines[:-1]) + f"\nanswer = {lines[-1]}", scope)
    ours = query("PlayingPiano - piano + violin", read_table(written[0]), read_table(written[1]))
    assert [name for name, _ in scope["answer"]][: len(ours.names)] == list(ours.names)
    np.testing.assert_allclose([cosine for _, cosine in scope["answer"]], ours.cosines, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"simulated": True}, {"reconstruction": True}])
def test_loud_marks_reach_the_card(trained, changes):
    from dataclasses import replace

    model, features = trained
    card = model.card.model_copy(update={"cell": model.card.cell.model_copy(update=changes)})
    model = replace(model, card=card)
    classes = from_method(model, features)
    found = make_card(classes, "minilm", features.dataset, VectorTable((), classes.vectors[:0]), [], model=model)
    assert found["warnings"][0].startswith(next(iter(changes)).upper())


def test_all_files_are_written_or_none(tmp_path, monkeypatch, vectors):
    dataset = get_dataset("hmdb51")
    classes = from_vectors("minilm", dataset)
    words, missing = placed_words("minilm", dataset)
    card = make_card(classes, "minilm", dataset, words, missing)
    rename = Path.rename

    def fails(self, target):
        if Path(target).name == "v.json" and "old" not in (*Path(target).parts, *self.parts):  # not the way back
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(ZslbenchError, match="No space left"):
        export(tmp_path / "v.kv", classes, words, None, card)
    assert list(tmp_path.glob("v.*")) == []
    assert list(tmp_path.glob(f"{UNFINISHED}*")) == []
    for name in ("v.kv", "v.words.kv", "v.json", "v.md"):
        (tmp_path / name).write_text("of before")
    with pytest.raises(ZslbenchError, match="No space left"):
        export(tmp_path / "v.kv", classes, words, None, card, replace=True)
    assert {path.read_text() for path in tmp_path.glob("v.*")} == {"of before"}
    assert len(list(tmp_path.glob("v.*"))) == 4


def test_files_that_exist_are_kept_unless_told_otherwise(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZslbenchError, match="--overwrite"), new_files(tmp_path, ["a"]):
        pass
    with new_files(tmp_path, ["a"], replace=True) as work:
        (work / "a").write_text("new")
    assert (tmp_path / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir() if path.name != "data-root"] == ["a"]


PLANE = VectorTable(("East", "North East", "North", "West"), np.array([[2, 0], [1, 1], [0, 3], [-1, 0]], np.float32))
WORDS = VectorTable(("up", "left", "west"), np.array([[0, 1], [-4, 0], [0, -1]], np.float32))


def test_an_expression_by_hand():
    answer = query("East + up", PLANE, WORDS, top=2)  # (1, 0) + (0, 1)
    assert answer.names == ("North East", "North")
    np.testing.assert_allclose(answer.cosines, [1, np.sqrt(0.5)], rtol=1e-6)
    assert [(term.sign, term.name, term.kind) for term in answer.terms] == [(1, "East", "class"), (1, "up", "word")]
    raw = query("East + left", PLANE, WORDS, top=1, scale=False)  # (2, 0) + (-4, 0)
    assert (raw.names, raw.cosines) == (("West",), (1.0,))


def test_classes_of_the_expression_are_no_answers_unless_asked_for():
    assert query("north_east", PLANE, top=9).names == ("East", "North", "West")
    assert query("north_east", PLANE, top=1, include_terms=True).names == ("North East",)


def test_a_prefix_tells_word_from_class():
    assert query("west", PLANE, WORDS).terms[0].kind == "class"
    assert query("word:west", PLANE, WORDS, include_terms=True).names[0] == "East"  # (0, -1): West and East tie


def test_cosines_are_gensims(vectors):
    from gensim.models import KeyedVectors

    rng = np.random.default_rng(1)
    names = tuple(f"n{i}" for i in range(40))
    table = VectorTable(names, rng.standard_normal((40, 6)).astype(np.float32))
    theirs = KeyedVectors(6)
    theirs.add_vectors(list(names), table.vectors)
    expected = theirs.most_similar(positive=["n3", "n9"], negative=["n20"], topn=10)
    answer = query("n3 - n20 + n9", table)
    assert list(answer.names) == [name for name, _ in expected]
    np.testing.assert_allclose(answer.cosines, [cosine for _, cosine in expected], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a", [(1, "a")]),
        ("playing piano - piano + violin", [(1, "playing piano"), (-1, "piano"), (1, "violin")]),
        ('-"a b" +c', [(-1, "a b"), (1, "c")]),
        ("t-shirt + person's head", [(1, "t-shirt"), (1, "person's head")]),
        ('"rock + roll" - rock', [(1, "rock + roll"), (-1, "rock")]),
    ],
)
def test_expressions_are_read(text, terms):
    assert parse_expression(text) == terms


@pytest.mark.parametrize("text", ["", "a -", "- ", "a - - b", '""', "a + +"])
def test_expressions_without_a_name_are_refused(text):
    with pytest.raises(ZslbenchError, match="sign without a name"):
        parse_expression(text)


def test_unknown_terms_are_told_with_suggestions_of_both_kinds():
    classes = VectorTable(("PlayingPiano",), np.ones((1, 2), np.float32))
    words = VectorTable(("plying",), np.ones((1, 2), np.float32))
    with pytest.raises(NotFoundError, match=r"'plaing' is no class and no word\. Did you mean .*plying \(word\)"):
        query("plaing", classes, words)
    with pytest.raises(NotFoundError, match=r"Did you mean PlayingPiano \(class\)"):
        query("playingpian", classes, words)
    with pytest.raises(NotFoundError, match="Leave spaces"):
        query("PlayingPiano-plying", classes, words)


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ZslbenchError, match="is zero, which is near no class"):
        query("East - East", PLANE)
    with pytest.raises(ZslbenchError, match="3 dimensions"):
        query("East", PLANE, VectorTable(("a",), np.ones((1, 3), np.float32)))


def test_words_lie_beside_their_classes(tmp_path):
    assert words_path(tmp_path / "action2vec.kv") == tmp_path / "action2vec.words.kv"


def test_counts_and_seen_are_in_the_npz(tmp_path):
    seen = np.array([True, False])
    classes = ClassEmbeddings("t", ("a b", "c"), np.eye(2, dtype=np.float32), np.array([3, 4]), seen)
    dataset = get_dataset("hmdb51")
    card = make_card(from_vectors("minilm", dataset), "minilm", dataset, VectorTable((), classes.vectors[:0]), [])
    export(tmp_path / "t.npz", classes, None, None, card)
    with np.load(tmp_path / "t.npz", allow_pickle=False) as arrays:
        assert arrays["names"].tolist() == ["a b", "c"]
        assert arrays["videos"].tolist() == [3, 4]
        assert arrays["seen"].tolist() == [True, False]
