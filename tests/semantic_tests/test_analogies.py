"""Verb groups of the vector-arithmetic test."""

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.semantic_tests.analogies import (
    Pair,
    automatic_groups,
    choose_groups,
    covered_groups,
    nouns_of,
    pairs,
    without_function_words,
)

GROUPS = {"ride": {"bike": "RideBike", "horse": "RideHorse", "camel": "CamelRide"}, "cut": {"hair": "HairCut"}}


def toy(**phrases):
    return Dataset(name="toy", display_name="Toy", classes=tuple(phrases), phrases={"plain": phrases})


def test_every_ordered_pair_of_two_nouns_of_one_verb_comes_once():
    found = pairs(GROUPS)
    assert len(found) == len(set(found)) == 6  # 3 x 2, and none of a verb with one noun
    assert Pair("ride", "bike", "camel", "RideBike", "CamelRide") in found
    assert all(pair.source != pair.target for pair in found)


def test_nouns_come_once():
    assert nouns_of({"ride": {"bike": "a", "horse": "b"}, "feed": {"horse": "c"}}) == ["bike", "horse"]


def test_the_rule_on_kinetics400_finds_the_groups_that_were_counted_by_hand():
    dataset = get_dataset("kinetics400")
    found, listed = automatic_groups(dataset), dataset.analogies["first-word-1720"]
    assert {verb: set(nouns.values()) for verb, nouns in found.items()} == {
        verb: set(nouns.values()) for verb, nouns in listed.items()
    }


def test_the_rule_on_ucf101_adds_the_names_of_three_words_to_those_of_two():
    dataset = get_dataset("ucf101")
    found = automatic_groups(dataset)
    two_words = {verb: found[verb] for verb in dataset.analogies["two-word-80"]}
    assert two_words == dataset.analogies["two-word-80"]
    assert set(found) - set(two_words) == {"apply", "boxing"}


def test_hmdb51_has_two_verbs_with_several_nouns():
    # Section 4.2.2 of Action2Vec says that it has none.
    found = automatic_groups(get_dataset("hmdb51"))
    assert {verb: list(nouns) for verb, nouns in found.items()} == {
        "ride": ["bike", "horse"],
        "shoot": ["ball", "bow", "gun"],
    }


def test_the_name_edit_table_decides_what_the_words_are():
    dataset = get_dataset("ucf101")
    assert "PlayingCello" in automatic_groups(dataset, "e2e-v1")["play"].values()


def test_function_words_go_unless_the_noun_would_be_empty_or_that_of_another_class():
    dataset = toy(A="ride a bike", B="ride on", C="ride on horse", D="ride with horse", E="ride", F="walk a dog")
    assert automatic_groups(dataset) == {"ride": {"bike": "A", "on": "B", "on horse": "C", "with horse": "D"}}
    assert without_function_words("squash or racquetball") == "squash racquetball"


def test_the_default_is_the_first_list_or_the_rule_where_there_is_none():
    assert choose_groups(get_dataset("ucf101"))[0] == "two-word-80"
    assert choose_groups(get_dataset("kinetics400"))[0] == "one-noun-1540"
    name, groups = choose_groups(get_dataset("hmdb51"))
    assert (name, len(pairs(groups))) == ("auto", 8)
    assert len(pairs(choose_groups(get_dataset("ucf101"), "any-position-90b")[1])) == 90
    assert len(pairs(choose_groups(get_dataset("ucf101"), "auto")[1])) == 84


def test_an_unknown_list_is_refused_with_the_nearest_name():
    with pytest.raises(NotFoundError, match="Did you mean any-position-90"):
        choose_groups(get_dataset("ucf101"), "any-position")


def test_classes_that_are_absent_leave_their_groups():
    assert covered_groups(GROUPS, {"RideBike", "CamelRide", "HairCut"}) == {
        "ride": {"bike": "RideBike", "camel": "CamelRide"}
    }


def test_no_verb_with_two_nouns_is_refused():
    with pytest.raises(ZslbenchError, match="no verb has two nouns among these 2 classes.*paper leaves HMDB51 out"):
        covered_groups(GROUPS, {"RideBike", "HairCut"})
