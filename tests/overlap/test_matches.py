"""How overlap is decided: by name and by vector."""

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import LabelSet, all_label_sets, find_label_set
from zslbench.overlap import matches as overlap
from zslbench.overlap.matches import matches, overlapping
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.stems import content_words, stem


def same_name(first, second):
    return bool(content_words(first) & content_words(second))


@pytest.mark.parametrize(
    ("first", "second"),
    [("playing basketball", "Basketball"), ("ride horse", "riding or walking with horse"), ("SkyDiving", "skydiving"),
     ("Shotput", "shot put"), ("RopeClimbing", "climbing a rope"), ("ShavingBeard", "trimming or shaving beard"),
     ("lunges", "lunge"), ("hug", "hugging"), ("fencing", "fencing (sport)"), ("walk_dog", "walking the dog"),
     ("pull ups", "pullup"), ("HeadMassage", "massaging person's head")],
)  # fmt: skip
def test_names_that_mean_the_same_action_are_equal(first, second):
    assert same_name(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [("push", "push up"), ("pull ups", "push up"), ("golf", "golf driving"), ("run", "rung"), ("sit", "situp"),
     ("swing", "sewing"), ("kick", "kickboxing"), ("speed", "speaking")],
)  # fmt: skip
def test_names_of_different_actions_are_not_equal(first, second):
    assert not same_name(first, second)


@pytest.mark.parametrize(
    "forms",
    [("dive", "dives", "diving", "dived"), ("swim", "swimming"), ("ski", "skis", "skiing"), ("race", "racing"),
     ("juggle", "juggling"), ("hug", "hugs", "hugged"), ("roll", "rolling", "rolled"), ("swing", "swings", "swinging")],
)  # fmt: skip
def test_forms_of_one_word_have_one_stem(forms):
    assert len({stem(word) for word in forms}) == 1


def test_every_match_by_vector_is_a_cosine_above_the_threshold_computed_another_way():
    labels = find_label_set("sports1m")
    ours = open_semantics("minilm", get_dataset("hmdb51"))
    theirs = labels.vectors_of("minilm").astype(np.float64)
    found = matches("hmdb51", "sports1m")
    for name, vector in zip(ours.names, ours.vectors.astype(np.float64), strict=True):
        cosines = [float(np.dot(vector, row) / np.linalg.norm(vector) / np.linalg.norm(row)) for row in theirs]
        near = max(cosines) >= overlap.NEAR
        by_vector = [match for match in found.get(name, ()) if match.how != "name"]
        assert near <= bool(found.get(name)), name
        for match in by_vector:
            assert match.cosine >= overlap.NEAR
            assert match.cosine == pytest.approx(cosines[labels.labels.index(match.label)], abs=1e-4)


def test_known_pairs_of_ucf101_and_sports1m_are_found_with_their_evidence():
    found = matches("ucf101", "sports1m")
    assert found["Fencing"][0].same
    assert found["Billiards"][0].text == "Billiards ~ carom billiards (part of the name; cosine 0.81)"
    assert found["IceDancing"][0].label == "ice skating"
    assert not found["IceDancing"][0].same
    assert "YoYo" not in found


def test_an_object_matches_the_action_with_it_but_no_other_word_or_sense():
    """ImageNet's dining table is also called board, and its dhole (a dog) has the stem of dhol (a drum)."""
    found = matches("ucf101", "imagenet")
    assert found["PlayingCello"][0].label == "cello"
    assert "SkateBoarding" not in found
    assert "PlayingDhol" not in found


def test_labels_that_are_left_out_match_nothing():
    everything = matches("ucf101", "sports1m")
    assert everything["Fencing"][0].label == "fencing"
    only = frozenset(find_label_set("sports1m").labels) - {"fencing"}
    assert "Fencing" not in matches("ucf101", "sports1m", only)


def test_without_vectors_names_alone_are_compared_and_a_part_of_a_name_counts(monkeypatch):
    bare = LabelSet("bare", "Bare", "actions", ("golf", "fencing"), (("golf",), ("fencing",)))
    monkeypatch.setitem(all_label_sets(), "bare", bare)
    from zslbench.datasets import label_sets as module

    module._by_key.cache_clear()
    try:
        found = overlapping("ucf101", "bare", ["GolfSwing", "Fencing", "YoYo"])
    finally:
        monkeypatch.undo()
        module._by_key.cache_clear()
        matches.cache_clear()
    assert [match.text for match in found] == ["Fencing ~ fencing (same name)", "GolfSwing ~ golf (part of the name)"]


def test_a_dataset_overlaps_wholly_with_itself():
    assert all(found[0].same for found in matches("hmdb51", "hmdb51").values())
    assert set(matches("hmdb51", "hmdb51")) == set(get_dataset("hmdb51").classes)


@pytest.mark.parametrize(
    ("dataset", "labels", "same", "near", "least", "most"),
    [("ucf101", "sports1m", 19, 42, 5, 13), ("ucf101", "kinetics400", 43, 65, 16, 25),
     ("ucf101", "kinetics700", 45, 72, 17, 27), ("hmdb51", "sports1m", 7, 13, 0, 6),
     ("hmdb51", "kinetics400", 17, 31, 5, 13), ("hmdb51", "kinetics700", 17, 34, 5, 13)],
)  # fmt: skip
def test_the_docs_table_of_usual_extractors_is_what_the_rules_give(dataset, labels, same, near, least, most):
    known = get_dataset(dataset)
    found = overlapping(dataset, labels, known.classes)
    equal = {match.class_name for match in found if match.same}
    per_split = [len(equal & set(split.unseen)) for split in known.family("xu-50/50").splits]
    assert (len(equal), len(found), min(per_split), max(per_split)) == (same, near, least, most)


def test_an_own_dataset_that_the_shipped_vectors_lack_is_compared_by_names(zslbench, tmp_path):
    (tmp_path / "mine.toml").write_text('classes = ["draw circle clockwise", "jogging", "walking"]\n')
    code, _, err = zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")
    assert code == 0, err
    names = get_dataset("hmdb51").classes
    assert [(match.class_name, match.label, match.how) for match in overlapping("hmdb51", "mine", names)] == [
        ("walk", "walking", "name")
    ]
