"""Attributes: a user's matrix, or binary ones derived from class texts, and what a method is handed of them."""

import csv

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.method import Budget, Method, MethodInfo, Report
from zslbench.run import evaluate as evaluating
from zslbench.run import experiment as planning
from zslbench.run.evaluate import evaluate
from zslbench.run.task import build_task
from zslbench.semantics.attributes import Attributes, derive, open_attributes, words
from zslbench.semantics.class_vectors import text_vectors
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.texts import Texts


def texts(**classes):
    return {"toy": {name: Texts(definition=said, attributes=[]) for name, said in classes.items()}}


def test_attributes_are_the_words_that_at_least_two_classes_have_and_not_all():
    found = derive(texts(
        golf="A person swings a club at a ball.", cricket="A person swings a bat at a ball.",
        juggling="A person throws balls.", bowling="A person rolls and throws a ball with swinging arms.",
        batting="A bat meets it.",
    ))  # fmt: skip
    # 'person' and 'ball' are of the same four classes: one attribute. 'club', 'rolls' and others are of one class.
    assert found.names == ("ball", "bat", "swing", "throw")
    rows = {name: row.tolist() for name, row in found.rows["toy"].items()}
    assert rows == {
        "golf": [1, 0, 1, 0], "cricket": [1, 1, 1, 0], "juggling": [1, 0, 0, 1], "bowling": [1, 0, 1, 1],
        "batting": [0, 1, 0, 0],
    }  # fmt: skip


def test_endings_and_stop_words_do_not_count():
    assert words(Texts(definition="The dancer's dancing of a dance", attributes=["danced"])) == {"dancer", "danc"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"a": "red ball", "b": "ball red", "c": "blue sky", "d": "blue bat"}, "b of toy the same attributes as a"),
        ({"a": "red ball", "b": "red bat", "c": "sky", "d": "ball bat"}, "c of toy no attribute"),
    ],
)
def test_classes_that_the_texts_do_not_tell_apart_are_refused(said, problem):
    with pytest.raises(ZslbenchError, match=problem):
        derive(texts(**said))


def test_two_datasets_share_their_attributes():
    both = open_attributes("texts", [get_dataset("ucf101"), get_dataset("hmdb51")], "shipped")
    one = open_attributes("texts", [get_dataset("ucf101")], "shipped")
    assert set(both.rows) == {"ucf101", "hmdb51"}
    assert len(both.names) > len(one.names) > 100
    archery, shoot_bow = both.rows["ucf101"]["Archery"], both.rows["hmdb51"]["shoot_bow"]
    assert "bow" in {both.names[i] for i in np.flatnonzero(archery * shoot_bow)}


def test_the_digest_tells_values_apart_and_not_the_order_of_classes():
    rows = {"a": np.array([1, 0], np.float32), "b": np.array([0, 1], np.float32)}
    one = Attributes(("x", "y"), {"toy": rows})
    assert one.digest == Attributes(("x", "y"), {"toy": dict(reversed(rows.items()))}).digest
    assert one.digest != Attributes(("x", "y"), {"toy": rows | {"b": np.array([1, 1], np.float32)}}).digest
    assert one.digest != Attributes(("x", "z"), {"toy": rows}).digest


def write_matrix(path, dataset, n=12, seed=0):
    values = np.random.default_rng(seed).random((len(dataset.classes), n)).round(3)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["class", *(f"a{i}" for i in range(n))])
        writer.writerows([name, *row] for name, row in zip(dataset.classes, values, strict=True))
    return values


def test_a_users_matrix_keeps_its_values(tmp_path):
    dataset = get_dataset("hmdb51")
    values = write_matrix(tmp_path / "mine.csv", dataset)
    import_semantics("mine", tmp_path / "mine.csv", dataset="hmdb51")
    found = open_attributes("mine", [dataset], "shipped")
    np.testing.assert_allclose(found.take("hmdb51", dataset.classes), values, atol=1e-6)


@pytest.mark.parametrize("text", ["class,a\nclap,x\n", "class,a,b\nclap,1,2\nwave,3\n", ""])
def test_a_csv_that_is_no_table_is_explained(tmp_path, text):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(ZslbenchError, match="is not a table of class vectors"):
        import_semantics("bad", tmp_path / "bad.csv", dataset="hmdb51")


class Spy(Method):
    """Keeps what it is handed."""

    info = MethodInfo(name="ridge", summary="spy", budget=frozenset({Budget.ATTRIBUTES}))
    handed = []  # noqa: RUF012

    def fit(self, seen, classes, target, report):
        self.handed.append(classes)

    def score(self, videos, classes):
        self.handed.append(classes)
        return np.zeros((len(videos), len(classes)))


class Silent(Spy):
    info = MethodInfo(name="ridge", summary="spy")


class Reader(Spy):
    info = MethodInfo(name="ridge", summary="spy", budget=frozenset({Budget.CLASS_TEXTS}))


@pytest.fixture
def method(monkeypatch):
    def use(chosen):
        Spy.handed.clear()
        monkeypatch.setattr(evaluating, "check_code", lambda cell: None)
        monkeypatch.setattr(evaluating, "get_method", lambda name: chosen)
        monkeypatch.setattr(planning, "get_method", lambda name: chosen)
        return chosen

    make_features()
    return use


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_method_with_the_budget_is_handed_its_classes_attributes(method, protocol):
    method(Spy)
    (cell,) = plan(method="ridge", splits="1", protocol=protocol)
    assert (cell.attributes, cell.texts, cell.texts_digest) == ("texts", "shipped", None)
    evaluate(cell, Report())
    table = open_attributes("texts", [get_dataset("hmdb51")], "shipped")
    for classes in Spy.handed[:2]:
        np.testing.assert_array_equal(classes.attributes, table.take("hmdb51", classes.names))
        assert classes.texts is None
    assert len(Spy.handed[1]) == (51 if protocol == "gzsl" else 25)


def test_a_method_without_the_budget_is_handed_none(method):
    method(Silent)
    (cell,) = plan(method="ridge", splits="1")
    assert (cell.attributes, cell.attributes_digest, cell.texts) == (None, None, None)
    evaluate(cell, Report())
    assert all(classes.attributes is None and classes.encode is None for classes in Spy.handed)


def test_other_attributes_make_another_cell_and_changed_ones_stop_it(method, tmp_path):
    method(Spy)
    dataset = get_dataset("hmdb51")
    write_matrix(tmp_path / "mine.csv", dataset)
    import_semantics("mine", tmp_path / "mine.csv", dataset="hmdb51")
    (derived,), (mine,) = (plan(method="ridge", splits="1", attributes=name) for name in (None, "mine"))
    assert derived.id != mine.id
    changed = mine.model_copy(update={"attributes_digest": "0" * 32})
    with pytest.raises(ZslbenchError, match="attributes mine changed since"):
        build_task(changed)


def test_a_dataset_without_texts_or_a_missing_matrix_is_explained():
    with pytest.raises(NotFoundError, match="no class texts"):
        open_attributes("texts", [get_dataset("olympicsports16")], "shipped")
    with pytest.raises(NotFoundError, match="no class vectors 'mine'"):
        open_attributes("mine", [get_dataset("hmdb51")], "shipped")


def test_texts_are_encoded_where_the_class_vectors_lie(method):
    method(Reader)
    (cell,) = plan(method="ridge", splits="1")
    evaluate(cell, Report())
    seen, unseen = Spy.handed[:2]
    for classes in (seen, unseen):
        said = classes.texts[0]
        expected = text_vectors("minilm", get_dataset("hmdb51"), said)
        np.testing.assert_array_equal(classes.encode(said), expected)
        # A class's name is a text too, and has the class's own vector.
        phrase = get_dataset("hmdb51").phrase(classes.names[0])
        np.testing.assert_allclose(classes.encode([phrase])[0], classes.vectors[0], atol=1e-6)
