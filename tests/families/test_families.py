"""Families of lists of videos and across datasets."""

import pytest
from toy_features import TOY

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import Split, VideoChoice
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.families.catalog import find_family, first_family, shared_text
from zslbench.families.cross import cross_name, shared_names
from zslbench.families.listed import listed_names

UCF101, HMDB51 = get_dataset("ucf101"), get_dataset("hmdb51")


def test_official_lists_test_all_classes_and_train_none():
    family = find_family(UCF101, "official-lists")
    assert [split.videos.list for split in family.splits] == ["official-1", "official-2", "official-3"]
    assert all(split.seen == () and len(split.unseen) == 101 for split in family.splits)
    assert len({split.digest for split in family.splits}) == 3


def test_supervised_lists_train_on_all_classes():
    assert [(len(split.seen), split.unseen) for split in find_family(HMDB51, "supervised-lists").splits] == [
        (51, ())
    ] * 3


@pytest.mark.parametrize(("dataset", "base", "novel"), [(UCF101, 51, 50), (HMDB51, 26, 25)])
def test_base_to_novel_has_the_published_classes_and_three_draws(dataset, base, novel):
    splits = find_family(dataset, "base-to-novel").splits
    assert [(len(split.seen), len(split.unseen)) for split in splits] == [(base, novel)] * 3
    drawn = find_family(dataset, "base-to-novel-4").splits
    assert drawn[0].seen == splits[0].seen
    assert [(split.videos.shots, split.videos.draw) for split in drawn] == [(4, 0), (4, 1), (4, 2)]


def test_few_shot_families_draw_from_list_one_from_each_list_or_as_published():
    assert {split.videos.list for split in find_family(UCF101, "5-shot").splits} == {"official-1"}
    assert [split.videos.list[-1] for split in find_family(UCF101, "5-shot-lists").splits] == ["1", "2", "3"]
    assert len(find_family(UCF101, "16-shot-published")) == 1
    with pytest.raises(NotFoundError, match="no published draw of 5 videos; use --family 5-shot"):
        find_family(UCF101, "5-shot-published")


def test_a_dataset_without_lists_has_the_one_that_its_features_may_have():
    (split,) = find_family(TOY, "official-lists").splits
    assert split.videos == VideoChoice("official-1")
    assert listed_names(TOY) == ["all-classes"]
    with pytest.raises(NotFoundError, match="base-to-novel-16"):
        find_family(TOY, "base-to-novel")


def test_a_family_across_datasets_trains_on_all_classes_of_one_and_tests_all_of_the_other():
    (split,) = find_family(UCF101, "k400->ucf101").splits
    assert (len(split.seen), len(split.unseen), split.seen_dataset) == (400, 101, "kinetics400")
    lists = find_family(UCF101, "k400->ucf101/lists").splits
    assert [each.videos.list for each in lists] == ["official-1", "official-2", "official-3"]
    assert cross_name("kinetics400", "hmdb51", without_overlap=True) == "k400->hmdb51-no-overlap"


def test_ucf101_and_kinetics400_share_43_names_which_no_overlap_leaves_out():
    shared = {match.class_name for match in shared_names("ucf101", "kinetics400")}
    assert len(shared) == 43
    (split,) = find_family(UCF101, "k400->ucf101-no-overlap").splits
    assert set(split.unseen) == set(UCF101.classes) - shared
    assert "43 of the 101 tested classes" in shared_text("ucf101", "k400->ucf101")
    assert "none of the 58" in shared_text("ucf101", "k400->ucf101-no-overlap")
    assert shared_text("ucf101", "xu-50/50") == ""


def test_halves_are_those_of_the_authors_with_the_other_datasets_training_classes():
    halves, published = find_family(UCF101, "k400->ucf101/halves"), UCF101.family("bike-half")
    assert [split.unseen for split in halves.splits] == [split.unseen for split in published.splits]
    assert {len(split.seen) for split in halves.splits} == {400}
    assert "43 of the 101" in shared_text("ucf101", "k400->ucf101/halves")


def test_the_first_family_of_a_setting_is_the_first_that_the_dataset_has():
    assert first_family(UCF101, ("2-shot-published", "2-shot")) == "2-shot-published"
    assert first_family(get_dataset("olympicsports16"), ("2-shot-published", "2-shot")) == "2-shot"


def test_kinetics600_after_kinetics400_is_the_published_family():
    dataset = get_dataset("kinetics600")
    assert find_family(dataset, "k400->k600") is dataset.family("kinetics-zsar")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("k400->hmdb51", "tests hmdb51, not ucf101; give --dataset hmdb51"),
        ("k401->ucf101", "no dataset is called 'k401'"),
        ("ucf101->ucf101", "trains and tests on ucf101"),
        ("k400->", "write k400->ucf101"),
        ("offical-lists", "Did you mean official-lists"),
        ("0-shot", "no split family"),
    ],
)
def test_a_wrong_name_gets_one_sentence(name, says):
    with pytest.raises(ZslbenchError, match=says) as error:
        find_family(UCF101, name)
    assert "\n" not in str(error.value)


def test_lists_and_draws_are_part_of_a_splits_digest_and_nothing_else_changes_old_ones():
    plain = Split(("a",), ("b",))
    digests = {
        Split(("a",), ("b",), videos=c).digest for c in (VideoChoice("x"), VideoChoice("x", 2), VideoChoice("x", 2, 1))
    }
    assert len(digests | {plain.digest}) == 4
    with pytest.raises(ZslbenchError, match="at least one seen and one unseen class"):
        Split((), ("b",))
