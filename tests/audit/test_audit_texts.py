"""Class texts that name other classes: word for word, and compared with what is usual."""

import json

import pytest
from audited import features_with, record

from zslbench.audit._texts import check_texts, named_classes, texts_behind
from zslbench.audit.audit import audit_records
from zslbench.datasets.catalog import get_dataset
from zslbench.semantics.texts import Texts, import_texts, open_texts

HMDB51 = get_dataset("hmdb51")
ALL = frozenset(HMDB51.classes)


def named(text, owner="chew", unseen=ALL):
    """Return the classes that a text of one class names."""
    texts = {owner: Texts.model_validate([text])}
    return {other for _, other, _, _ in named_classes(HMDB51, texts, unseen)}


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("People who are fencing with masks.", {"fencing"}),
        ("A fence around a garden.", set()),
        ("A trunk in a kitchen.", set()),  # run and kick are inside of these words only
        ("She walks slowly.", {"walk"}),
        ("Kicking the ball into the goal.", {"kick", "kick_ball"}),
        ("The kick_ball of the data set.", {"kick_ball"}),
        ("A ball that nobody kicks.", {"kick"}),
        ("Chewing gum.", set()),  # its own name
    ],
)
def test_names_are_found_by_words_and_not_inside_of_words(text, classes):
    assert named(text) == classes


def test_a_class_may_use_the_words_of_its_own_name():
    assert named("To kick a ball.", owner="kick_ball") == set()


def test_only_unseen_classes_count():
    assert named("She walks slowly.", unseen=frozenset({"run"})) == set()


def test_shipped_texts_name_few_classes_and_are_a_note_at_most():
    for name, several, single in (("ucf101", 1, 7), ("hmdb51", 0, 9)):
        dataset = get_dataset(name)
        (found,) = check_texts(dataset, "shipped", frozenset(dataset.classes))
        assert found.code == "N5"
        assert found.evidence[0].startswith(f"texts of {several} of {len(dataset.classes)} classes contain")
        assert f"of {single} more one of a single word" in found.evidence[0]


def with_texts(tmp_path, changed):
    """Import the shipped texts with other definitions of some classes."""
    shipped = open_texts("shipped", HMDB51)
    texts = {name: [changed.get(name, each.definition), *each.attributes] for name, each in shipped.items()}
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    import_texts("mine", tmp_path / "texts.json", HMDB51)


def findings(unseen, **cell):
    made = record(features_with(), unseen=unseen, texts="mine", texts_digest="d", **cell)
    return [each for each in audit_records([made]) if each.code in ("N5", "W17")]


def test_the_text_of_a_class_that_names_an_unseen_one_is_a_note_with_the_text(tmp_path):
    with_texts(tmp_path, {"golf": "Like people who shoot a ball, but on grass."})
    (found,) = findings(("shoot_ball", "pick"))
    assert (found.code, found.rows) == ("N5", ("ridge [texts mine]",))
    assert "golf contains shoot_ball: Like people who shoot a ball, but on grass." in found.evidence


def test_many_texts_that_name_unseen_classes_are_a_warning(tmp_path):
    with_texts(tmp_path, {name: f"Not shoot a ball: {name}." for name in HMDB51.classes[:20]})
    (found,) = findings(("shoot_ball", "pick"))
    assert found.code == "W17"
    assert found.evidence[0].startswith("texts of 20 of 51 classes contain an unseen class's name of several words")


def test_vectors_that_were_made_from_texts_count_as_these_texts(tmp_path):
    with_texts(tmp_path, {})
    assert texts_behind("minilm-definition", HMDB51) == "shipped"
    assert texts_behind("mine-attributes:normalise=false", HMDB51) == "mine"
    assert texts_behind("minilm", HMDB51) is texts_behind("other-definition", HMDB51) is None
    made = record(features_with(), unseen=("push", "kick"), semantics="minilm-definition")
    (found,) = [each for each in audit_records([made]) if each.code == "N5"]
    assert "class texts shipped" in found.concerns
