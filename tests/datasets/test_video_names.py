"""Ids of videos that name a class, and classes with more videos than the dataset."""

import dataclasses

import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import known_lists
from zslbench.datasets.video_names import misnamed, too_many


@pytest.mark.parametrize("name", ["ucf101", "hmdb51"])
def test_the_patterns_read_the_class_of_every_published_id(name):
    dataset, known = get_dataset(name), known_lists(name).class_of
    unlisted = dataclasses.replace(dataset, name="unlisted")  # so that the patterns alone are asked
    for each in (dataset, unlisted):
        assert list(misnamed(each, list(known), list(known.values()))) == []
    shifted = dict(zip(dataset.classes, (*dataset.classes[1:], dataset.classes[0]), strict=True))
    found = list(misnamed(unlisted, list(known), [shifted[c] for c in known.values()]))
    assert [each.named for each in found] == list(known.values())


@pytest.mark.parametrize(
    ("dataset", "video", "given", "named"),
    [
        ("ucf101", "v_HammerThrow_g01_c01", "Hammering", "HammerThrow"),
        ("ucf101", "v_HandStandPushups_g01_c01.avi", "Archery", "HandstandPushups"),
        ("hmdb51", "my_own_video_brush_hair_u_nm_np1_ba_goo_0", "hit", "brush_hair"),
        ("hmdb51", "my_own_kick_ball_f_cm_np1_ba_med_1.avi", "kick", "kick_ball"),
        ("kinetics400", "playing guitar/abc", "archery", "playing guitar"),
    ],
)
def test_an_id_that_names_another_class_is_found(dataset, video, given, named):
    assert [each.named for each in misnamed(get_dataset(dataset), [video], [given])] == [named]


def test_other_ids_name_no_class():
    ids = ["v_Unknown_g01_c01", "Archery_1", "video7", "train/x", "x_run_f_cm"]
    assert list(misnamed(get_dataset("ucf101"), ids, ["Archery"] * 5)) == []


def test_only_a_surplus_is_too_many():
    counts = {"Archery": 145, "Hammering": 150, "YoYo": 3, "HammerThrow": 151}
    assert too_many(get_dataset("ucf101"), counts) == {"Hammering": (150, 140), "HammerThrow": (151, 150)}
    assert too_many(get_dataset("kinetics400"), {"archery": 10**6}) == {}
