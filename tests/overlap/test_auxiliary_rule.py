"""Which auxiliary classes are left out, on the real class lists, and the evidence for the threshold."""

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.overlap import auxiliary as module
from zslbench.overlap.auxiliary import AUXILIARY_NEAR, compare_auxiliary


def left_out(auxiliary, dataset, *unseen):
    return compare_auxiliary(auxiliary, dataset, frozenset(unseen)).left_out


@pytest.mark.parametrize(
    ("name", "unseen"),
    [("shoot_ball", "Basketball"), ("kick_ball", "SoccerPenalty"), ("walk", "WalkingWithDog"), ("throw", "HammerThrow"),
     ("catch", "FrisbeeCatch"), ("punch", "BoxingPunchingBag"), ("climb", "RockClimbingIndoor"), ("jump", "JumpRope"),
     ("shoot_ball", "BasketballDunk"), ("sword", "Fencing"), ("ride_horse", "HorseRace")],
)  # fmt: skip
def test_a_class_whose_action_is_part_of_an_unseen_one_is_left_out_on_both_sides(name, unseen):
    assert name in left_out("hmdb51", "ucf101", unseen)
    assert unseen in left_out("ucf101", "hmdb51", name)


@pytest.mark.parametrize(("name", "unseen"), [("smile", "Typing"), ("pour", "PommelHorse"), ("hug", "Kayaking")])
def test_a_class_that_has_nothing_to_do_with_an_unseen_one_is_left_in(name, unseen):
    assert name not in left_out("hmdb51", "ucf101", unseen)


def test_what_is_left_in_comes_nearest_first_and_is_below_the_threshold():
    found = compare_auxiliary("hmdb51", "ucf101", frozenset(get_dataset("ucf101").classes[:50]))
    cosines = [round(match.cosine, 3) for match in found.left_in]
    assert cosines == sorted(cosines, reverse=True)
    assert 0 < cosines[0] < AUXILIARY_NEAR
    assert {match.class_name for match in found.left_in} | set(found.left_out) == set(get_dataset("hmdb51").classes)


def test_the_threshold_is_the_highest_that_misses_no_class_of_truzes_lists(monkeypatch):
    def missed_and_others(threshold):
        monkeypatch.setattr(module, "AUXILIARY_NEAR", threshold)
        compare_auxiliary.cache_clear()
        missed, others = set(), set()
        for dataset in ("ucf101", "hmdb51"):
            listed = set(get_dataset(dataset).family("truze-v1").splits[0].seen)
            found = set(left_out(dataset, "kinetics400", *get_dataset("kinetics400").classes))
            missed |= listed - found
            others |= found - listed
        return missed, len(others)

    assert missed_and_others(AUXILIARY_NEAR) == (set(), 40)
    assert missed_and_others(AUXILIARY_NEAR + 0.02) == ({"ApplyEyeMakeup"}, 39)
    compare_auxiliary.cache_clear()


def test_names_alone_decide_where_there_are_no_vectors(monkeypatch):
    monkeypatch.setattr(module, "class_cosines", lambda *names: None)
    module._pairs.cache_clear()
    compare_auxiliary.cache_clear()
    found = compare_auxiliary("hmdb51", "ucf101", frozenset(["WalkingWithDog", "Basketball"]))
    module._pairs.cache_clear()
    compare_auxiliary.cache_clear()
    assert list(found.left_out) == ["walk"]
    assert found.left_in[0].cosine is None
