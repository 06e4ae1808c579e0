"""Which list of videos a feature set gets, and what missing videos can change."""

import numpy as np
import pytest
from toy_features import write_csv

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import known_lists, video_list
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.importing import FeatureFiles, Provenance, import_features
from zslbench.features.simulated import simulate
from zslbench.features.video_lists import ListCoverage, features_list, list_coverage, lists_of


@pytest.fixture
def features(tmp_path):
    def features(dataset, rows, header="video,class"):
        np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(len(rows), 4)))
        csv = write_csv(tmp_path / "v.csv", rows, header)
        found = get_dataset(dataset)
        import_features(found, "x", FeatureFiles(tmp_path / "f.npy", csv), Provenance("none"), replace=True)
        return open_features(found, "x")

    return features


def rows_of(dataset, suffix=""):
    return [f"{video}{suffix},{name}" for video, name in known_lists(dataset).class_of.items()]


def test_features_with_the_datasets_ids_need_no_column(features):
    made = features("hmdb51", rows_of("hmdb51", ".avi"))
    assert [listed.name for listed in lists_of(made)] == list(known_lists("hmdb51").lists)
    assert features_list(made, "official-2").digest == video_list("hmdb51", "official-2").digest
    covered = list_coverage(made, features_list(made, "official-1"))
    assert (covered.missing_train, covered.missing_test, covered.extra) == (0, 0, 0)


def test_missing_and_extra_videos_are_counted(features):
    first = video_list("hmdb51", "official-1")
    lost = {first.test[0], first.test[7], first.train[3]}
    rows = [row for row in rows_of("hmdb51") if row.rpartition(",")[0] not in lost]
    made = features("hmdb51", [*rows, "another,wave"])
    covered = list_coverage(made, features_list(made, "official-1"))
    assert (covered.test, covered.missing_train, covered.missing_test, covered.extra) == (1530, 1, 2, 1)
    assert covered.change == 2 / 1530


def test_features_with_other_ids_take_their_own_columns(features):
    rows = [f"n{i},{'run' if i % 2 else 'wave'},{a},{b}" for i, (a, b) in enumerate(
        [("train", "test"), ("train", "test"), ("test", "train"), ("test", "")]
    )]  # fmt: skip
    made = features("hmdb51", rows, "video,class,official,official_split2")
    assert [listed.name for listed in lists_of(made)] == ["official-1", "official-2"]
    listed = features_list(made, "official-2")
    assert (listed.train, listed.test) == (("n2",), ("n0", "n1"))
    with pytest.raises(
        ZslbenchError, match=r"none of the videos of hmdb51@x.* \(such as n0\) is on the list official-3"
    ):
        features_list(made, "official-3")


def test_a_set_without_any_list_is_refused_with_the_remedy(features):
    made = features("olympicsports16", ["a,high_jump", "b,high_jump"])
    assert lists_of(made) == []
    with pytest.raises(ZslbenchError, match=r"has no list 'official-1'; import the features with a column 'official'"):
        features_list(made, "official-1")


def test_simulated_videos_are_tested_on_one_of_three_lists_in_whole_groups():
    made = simulate(get_dataset("hmdb51"), name="small", videos_per_class=30)
    lists = [features_list(made, f"official-{i}") for i in (1, 2, 3)]
    assert sorted(video for listed in lists for video in listed.test) == sorted(made.ids)
    for listed in lists:
        at = listed.sides(made.ids)
        keys = list(zip(made.labels.tolist(), made.groups, strict=True))
        train = {key for key, side in zip(keys, at, strict=True) if side == "train"}
        assert not train & {key for key, side in zip(keys, at, strict=True) if side == "test"}
        assert set(made.labels[[side == "train" for side in at]]) == set(made.labels.tolist())


@pytest.mark.parametrize("right", [0, 13, 90])
def test_bounds_hold_for_every_outcome_of_the_missing_videos(right):
    there, missing = 90, 10
    covered = ListCoverage("validation", there + missing, 0, missing, 0)
    low, high = covered.bounds(right / there)
    possible = [(right + more) / (there + missing) for more in range(missing + 1)]
    assert (low, high) == pytest.approx((min(possible), max(possible)))
    assert max(abs(each - right / there) for each in possible) <= covered.change + 1e-12


def test_an_accuracy_in_per_cent_is_refused():
    with pytest.raises(ZslbenchError, match="71.2 is no share; give a number from 0 to 1"):
        ListCoverage("validation", 10, 0, 1, 0).bounds(71.2)
